package dev.torchmobile.replay

import com.google.gson.JsonArray
import com.google.gson.JsonObject
import dev.torchmobile.core.BenchmarkPlan
import dev.torchmobile.core.Device
import dev.torchmobile.core.MeasuredFile
import dev.torchmobile.core.ModelInput
import dev.torchmobile.core.PHOTO_INPUT
import dev.torchmobile.core.TensorValue
import dev.torchmobile.core.VisionError
import dev.torchmobile.core.VisionModel
import dev.torchmobile.core.benchmark
import dev.torchmobile.core.benchmarkJson
import java.io.File
import kotlin.system.exitProcess

/**
 * Do what the app does at the first start of a model, in a desktop Java: load each file given, read
 * its records, replay its golden inputs. One JSON object a file on stdout.
 */
fun main(arguments: Array<String>) {
    for (path in arguments) {
        val answer = JsonObject()
        answer.addProperty("file", path)
        try {
            VisionModel.open(File(path)).use { answer(answer, it) }
        } catch (error: VisionError) {
            answer.addProperty("passes", false)
            answer.addProperty("sentence", error.failure.sentence)
        }
        println(answer)
    }
    // fbjni keeps a thread that is not a daemon: without this, Java would wait for it forever.
    exitProcess(0)
}

private fun answer(
    answer: JsonObject,
    model: VisionModel,
) {
    val verification = model.verify()
    answer.addProperty("passes", verification.passes)
    answer.addProperty("cases", verification.cases)
    answer.addProperty("passed", verification.passed)
    answer.addProperty("max_abs", verification.maxAbs)
    answer.addProperty("top1", verification.top1)
    answer.addProperty("load_ms", model.loadMilliseconds)
    answer.addProperty("sentence", verification.sentence)
    answer.add(
        "outputs",
        JsonArray().apply {
            for (case in model.golden.cases) {
                val first = model.run(named(model, case.inputs)).values.first()
                add(JsonArray().apply { first.doubles().forEach { add(it) } })
            }
        },
    )
    val measured = benchmark(model, BenchmarkPlan(1, 3, listOf(1, 2)), { null })
    val device = Device("desktop Java", System.getProperty("os.name"), "x86_64", 2, "replay")
    val file = MeasuredFile(model.file, "0".repeat(64), model.path.length(), model.loadMilliseconds)
    answer.addProperty("benchmark", benchmarkJson(device, model.runtimeName, model.metadata, file, measured))
}

private fun named(
    model: VisionModel,
    inputs: List<TensorValue>,
): Map<String, TensorValue> {
    val input = model.metadata.input
    val names = if (input is ModelInput.Tensors) input.tensors.map { it.name } else listOf(PHOTO_INPUT)
    return names.zip(inputs).toMap()
}

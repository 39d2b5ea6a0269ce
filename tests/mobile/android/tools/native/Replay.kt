package dev.torchmobile.demo

import com.google.gson.JsonArray
import com.google.gson.JsonObject
import dev.torchmobile.core.BenchmarkPlan
import dev.torchmobile.core.DemoException
import dev.torchmobile.core.Device
import dev.torchmobile.core.Format
import dev.torchmobile.core.MeasuredFile
import dev.torchmobile.core.RuntimeByFormat
import dev.torchmobile.core.benchmark
import dev.torchmobile.core.benchmarkJson
import dev.torchmobile.core.openArtifact
import dev.torchmobile.core.replayGolden
import dev.torchmobile.core.sentence
import java.io.File
import kotlin.system.exitProcess

/**
 * Do what the app does at the first start of a model, in a desktop Java: load each file given, read
 * its records, replay its golden inputs. One JSON object a file on stdout.
 */
fun main(arguments: Array<String>) {
    val lite = liteRuntime(arguments[0], "x86_64")
    val program = programRuntime("of the desktop", "x86_64")
    val runtime = RuntimeByFormat(listOfNotNull(lite?.let { Format.LITE to it }, program?.let { Format.PROGRAM to it }).toMap())
    for (path in arguments.drop(1)) {
        val answer = JsonObject()
        answer.addProperty("file", path)
        try {
            val artifact = openArtifact(runtime, path, File(path).name)
            val report = replayGolden(artifact)
            answer.addProperty("passes", report.passes)
            answer.addProperty("cases", report.cases)
            answer.addProperty("passed", report.passed)
            answer.addProperty("max_abs", report.maxAbs)
            answer.addProperty("top1", report.top1)
            answer.addProperty("load_ms", artifact.loadMs)
            answer.addProperty("sentence", report.sentence)
            answer.add(
                "outputs",
                JsonArray().apply {
                    for (case in artifact.golden.cases) {
                        val first = artifact.run(case.inputs).outputs.first()
                        add(JsonArray().apply { first.doubles().forEach { add(it) } })
                    }
                },
            )
            val runs = benchmark(artifact, BenchmarkPlan(1, 3, listOf(1, 2)), runtime::setThreads, { null })
            val device = Device("desktop Java", System.getProperty("os.name"), "x86_64", 2, "replay")
            val file = MeasuredFile(File(path).name, "0".repeat(64), File(path).length(), artifact.loadMs)
            answer.addProperty("benchmark", benchmarkJson(device, runtime.nameFor(path), artifact.metadata, file, runs))
            artifact.close()
        } catch (error: DemoException) {
            answer.addProperty("passes", false)
            answer.addProperty("sentence", error.failure.sentence)
        }
        println(answer)
    }
    // fbjni keeps a thread that is not a daemon: without this, Java would wait for it forever.
    exitProcess(0)
}

package dev.torchmobile.demo

import android.app.Activity
import android.app.Instrumentation
import android.os.Bundle
import dev.torchmobile.core.VisionError
import dev.torchmobile.core.VisionModel
import java.io.File

private const val STARTED = 1
private const val PASSED = 0
private const val FAILED = -2

/**
 * Replays the golden vectors of every model in the app's assets on the phone or emulator it runs on.
 *
 * On the platform's own [Instrumentation], so that the test's APK needs no library. It reports as
 * JUnit's runners do, one test a model, for `adb shell am instrument -r` and for Gradle; the code at
 * the end is [Activity.RESULT_OK] where there was a model and all passed.
 */
class GoldenInstrumentation : Instrumentation() {
    override fun onCreate(arguments: Bundle?) {
        super.onCreate(arguments)
        start()
    }

    override fun onStart() {
        super.onStart()
        val models = modelFiles(targetContext)
        val passed = models.withIndex().count { (index, model) -> check(model, index + 1, models.size) }
        val text = "$passed of ${models.size} models match Python on this device."
        val good = models.isNotEmpty() && passed == models.size
        finish(if (good) Activity.RESULT_OK else Activity.RESULT_CANCELED, said(text))
    }

    private fun check(
        model: ModelFile,
        current: Int,
        all: Int,
    ): Boolean {
        val test =
            Bundle().apply {
                putString("id", "GoldenInstrumentation")
                putInt("numtests", all)
                putInt("current", current)
                putString("class", GoldenInstrumentation::class.java.name)
                putString("test", model.name)
            }
        sendStatus(STARTED, test)
        val (passes, sentence) =
            try {
                val found = VisionModel.open(File(model.path)).use { it.verify() }
                found.passes to found.sentence
            } catch (error: VisionError) {
                false to error.failure.sentence
            }
        test.putAll(said("${model.name}: $sentence"))
        if (!passes) test.putString("stack", sentence)
        sendStatus(if (passes) PASSED else FAILED, test)
        return passes
    }
}

/** What `am instrument` prints as it is. */
private fun said(text: String) = Bundle().apply { putString(Instrumentation.REPORT_KEY_STREAMRESULT, "\n$text\n") }

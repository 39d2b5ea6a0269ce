package dev.torchmobile.demo

import android.app.Application
import android.os.Handler
import android.os.Looper
import dev.torchmobile.core.Runtime
import java.util.concurrent.Executor
import java.util.concurrent.Executors

/** Holds the [Workbench] for the life of the process. Tests override what it is made of. */
open class DemoApplication : Application() {
    val workbench: Workbench by lazy {
        val handler = Handler(Looper.getMainLooper())
        Workbench(this, runtimes(), worker(), { handler.post(it) }, publicKey()).also { it.start() }
    }

    /** Those that were built in: `runtimes` in `gradle.properties`. */
    protected open fun runtimes(): List<Runtime> = Runtime.found

    /** The key that models have to be signed with; blank where nothing is demanded. */
    protected open fun publicKey(): String = getString(R.string.model_public_key)

    protected open fun worker(): Executor = Executors.newSingleThreadExecutor { Thread(it, "inference") }
}

package dev.torchmobile.demo

import android.app.Application
import android.os.Build
import android.os.Handler
import android.os.Looper
import dev.torchmobile.core.Format
import dev.torchmobile.core.Runtime
import dev.torchmobile.core.RuntimeByFormat
import java.util.concurrent.Executor
import java.util.concurrent.Executors

/** Holds the [Workbench] for the life of the process. Tests override what it is made of. */
open class DemoApplication : Application() {
    val workbench: Workbench by lazy {
        val handler = Handler(Looper.getMainLooper())
        Workbench(this, runtime(), worker(), { handler.post(it) }, publicKey()).also { it.start() }
    }

    /** Of the two runtimes those that were built in: `runtimes` in `gradle.properties`. */
    protected open fun runtime(): Runtime {
        val abis = Build.SUPPORTED_ABIS.joinToString()
        val lite = liteRuntime(getString(R.string.runtime_version), abis)
        val program = programRuntime(getString(R.string.executorch_version), abis)
        return RuntimeByFormat(listOfNotNull(lite?.let { Format.LITE to it }, program?.let { Format.PROGRAM to it }).toMap())
    }

    /** The key that models have to be signed with; blank where nothing is demanded. */
    protected open fun publicKey(): String = getString(R.string.model_public_key)

    protected open fun worker(): Executor = Executors.newSingleThreadExecutor { Thread(it, "inference") }
}

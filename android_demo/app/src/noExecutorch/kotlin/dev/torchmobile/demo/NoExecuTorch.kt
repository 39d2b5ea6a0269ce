package dev.torchmobile.demo

import dev.torchmobile.core.Runtime

/** This app was built without ExecuTorch. */
@Suppress("UNUSED_PARAMETER")
fun programRuntime(
    version: String,
    abis: String,
): Runtime? = null

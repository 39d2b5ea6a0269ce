package dev.torchmobile.demo

import dev.torchmobile.core.Runtime

/** This app was built without PyTorch's lite interpreter. */
@Suppress("UNUSED_PARAMETER")
fun liteRuntime(
    version: String,
    abis: String,
): Runtime? = null

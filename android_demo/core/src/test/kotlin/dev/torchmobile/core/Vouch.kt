package dev.torchmobile.core

/** What the app says of files: `VouchKt PUBLIC_KEY FILE...` prints `signed` or the doubt, a line each. */
fun main(arguments: Array<String>) {
    val key = PublicKey.of(arguments[0])!!
    for (path in arguments.drop(1)) {
        try {
            requireVouched(key, path, path)
            println("signed")
        } catch (error: VisionError) {
            println((error.failure as Failure.NotVouchedFor).doubt.word)
        }
    }
}

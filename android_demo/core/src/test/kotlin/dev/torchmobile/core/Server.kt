package dev.torchmobile.core

import java.io.DataInputStream
import java.io.DataOutputStream

/**
 * Answers pytest's drawn images over stdin and stdout, so that one Java serves a thousand of them.
 *
 * Request: int32 width, height, orientation, channels (big-endian), then width x height ARGB int32 pixels.
 * Answer: int32 height, width, then the bytes the app would hand to the model. Ends with stdin.
 */
fun main() {
    val input = DataInputStream(System.`in`.buffered())
    val output = DataOutputStream(System.out.buffered())
    while (true) {
        val width = runCatching { input.readInt() }.getOrElse { return }
        val height = input.readInt()
        val orientation = input.readInt()
        val channels = input.readInt()
        val tensor =
            rgbImage(width, height, hasAlpha = true) { row, _ -> for (x in row.indices) row[x] = input.readInt() }
                .upright(orientation)
                .tensor(PhotoColor.entries.first { it.channels == channels })
        tensor.shape.take(2).forEach { output.writeInt(it.toInt()) }
        output.write(tensor.bytes)
        output.flush()
    }
}

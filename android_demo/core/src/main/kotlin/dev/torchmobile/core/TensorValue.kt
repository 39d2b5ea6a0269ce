package dev.torchmobile.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Element types of the artifact contract. [label] is the name in the JSON, [size] in bytes. */
enum class Dtype(
    val label: String,
    val size: Int,
) {
    UINT8("uint8", 1),
    BOOL("bool", 1),
    INT32("int32", 4),
    INT64("int64", 8),
    FLOAT32("float32", 4),
    FLOAT64("float64", 8),
    ;

    /** Whether numbers of this type are rounded; the others are compared exactly. */
    val isFloat: Boolean get() = this == FLOAT32 || this == FLOAT64
}

/** A dense tensor: [bytes] are little-endian, in C order, `size of dtype` x product of [shape]. */
class TensorValue(
    val dtype: Dtype,
    val shape: List<Long>,
    val bytes: ByteArray,
) {
    val count: Int = bytes.size / dtype.size

    init {
        require(elementCount(shape) == count.toLong() && bytes.size % dtype.size == 0) {
            "${bytes.size} bytes do not make a ${dtype.label} tensor of shape $shape"
        }
    }

    // Read from at places only, so its own position never counts.
    private val data = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)

    /** Element [index] (flat) as float64: exact for all types but int64 beyond 2^53. */
    fun double(index: Int): Double =
        when (dtype) {
            Dtype.UINT8 -> (bytes[index].toInt() and 0xFF).toDouble()
            Dtype.BOOL -> if (bytes[index].toInt() != 0) 1.0 else 0.0
            Dtype.INT32 -> data.getInt(4 * index).toDouble()
            Dtype.INT64 -> data.getLong(8 * index).toDouble()
            Dtype.FLOAT32 -> data.getFloat(4 * index).toDouble()
            Dtype.FLOAT64 -> data.getDouble(8 * index)
        }

    /** Element [index] (flat) of a type of whole numbers. */
    fun long(index: Int): Long =
        when (dtype) {
            Dtype.INT32 -> data.getInt(4 * index).toLong()
            Dtype.INT64 -> data.getLong(8 * index)
            else -> double(index).toLong()
        }

    /** All elements as float64. */
    fun doubles(): DoubleArray = DoubleArray(count, ::double)

    companion object {
        /** Wrap float32 [values] of [shape]. */
        fun of(
            values: FloatArray,
            shape: List<Long>,
        ): TensorValue {
            val data = ByteBuffer.allocate(4 * values.size).order(ByteOrder.LITTLE_ENDIAN)
            data.asFloatBuffer().put(values)
            return TensorValue(Dtype.FLOAT32, shape, data.array())
        }

        /** The product of [shape], or null when a side is negative or the product overflows. */
        fun elementCount(shape: List<Long>): Long? =
            try {
                shape.fold(1L) { product, side ->
                    if (side < 0) return null
                    Math.multiplyExact(product, side)
                }
            } catch (_: ArithmeticException) {
                null
            }
    }
}

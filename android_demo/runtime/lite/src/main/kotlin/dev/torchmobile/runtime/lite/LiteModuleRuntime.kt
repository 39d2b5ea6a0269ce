package dev.torchmobile.runtime.lite

import dev.torchmobile.core.Dtype
import dev.torchmobile.core.Format
import dev.torchmobile.core.GOLDEN_KEY
import dev.torchmobile.core.LoadedModel
import dev.torchmobile.core.METADATA_KEY
import dev.torchmobile.core.Runtime
import dev.torchmobile.core.TensorValue
import dev.torchmobile.core.fromChannelsLast
import org.pytorch.DType
import org.pytorch.Device
import org.pytorch.IValue
import org.pytorch.LiteModuleLoader
import org.pytorch.MemoryFormat
import org.pytorch.Module
import org.pytorch.PyTorchAndroid
import org.pytorch.Tensor
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Runs artifacts on PyTorch's lite interpreter: the only file that touches that library.
 *
 * Nothing of `android.*` is used, so that the same class runs in a desktop Java on the AAR's own
 * x86_64 libraries.
 */
class LiteModuleRuntime : Runtime {
    override val format = Format.LITE
    override val name = "lite interpreter"

    override fun open(path: String): LoadedModel {
        // Only keys that are there already are filled in; values come back as text.
        val records = hashMapOf(METADATA_KEY to "", GOLDEN_KEY to "")
        val module = LiteModuleLoader.load(path, records, Device.CPU)
        return LiteModel(module, records[METADATA_KEY].orEmpty(), records[GOLDEN_KEY].orEmpty())
    }

    override fun setThreads(threads: Int) = PyTorchAndroid.setNumThreads(threads)
}

private class LiteModel(
    private val module: Module,
    override val metadataJson: String,
    override val goldenJson: String,
) : LoadedModel {
    override fun run(inputs: List<TensorValue>): List<TensorValue> {
        val arguments = inputs.map { IValue.from(tensor(it)) }
        return values(module.forward(*arguments.toTypedArray()))
    }

    override fun close() = module.destroy()
}

private fun tensor(value: TensorValue): Tensor {
    val shape = value.shape.toLongArray()
    // Direct memory in native order, as the library wants it; little-endian on all its processors.
    val data = ByteBuffer.allocateDirect(value.bytes.size).order(ByteOrder.nativeOrder())
    data.put(value.bytes).rewind()
    return when (value.dtype) {
        Dtype.UINT8 -> Tensor.fromBlobUnsigned(data, shape)
        Dtype.INT32 -> Tensor.fromBlob(data.asIntBuffer(), shape)
        Dtype.INT64 -> Tensor.fromBlob(data.asLongBuffer(), shape)
        Dtype.FLOAT32 -> Tensor.fromBlob(data.asFloatBuffer(), shape)
        Dtype.FLOAT64 -> Tensor.fromBlob(data.asDoubleBuffer(), shape)
        Dtype.BOOL -> throw UnsupportedOperationException("the Android library takes no bool tensors")
    }
}

/** The outputs in the metadata's order: artifacts return one tensor, or a list of them. */
private fun values(result: IValue): List<TensorValue> =
    when {
        result.isTensor -> listOf(value(result.toTensor()))
        result.isTensorList -> result.toTensorList().map(::value)
        else -> throw UnsupportedOperationException("the model returns neither a tensor nor a list of them")
    }

private fun value(tensor: Tensor): TensorValue {
    val shape = tensor.shape().toList()
    val lying = asItLies(tensor, shape)
    val isChannelsLast = tensor.memoryFormat() == MemoryFormat.CHANNELS_LAST || tensor.memoryFormat() == MemoryFormat.CHANNELS_LAST_3D
    if (!isChannelsLast) return lying
    return TensorValue(lying.dtype, shape, fromChannelsLast(lying.bytes, lying.dtype.size, shape))
}

/** The elements of [tensor] in the order of its memory, which C order need not be. */
private fun asItLies(
    tensor: Tensor,
    shape: List<Long>,
): TensorValue {
    if (tensor.dtype() == DType.FLOAT32) return TensorValue.of(tensor.dataAsFloatArray, shape)
    val count = tensor.numel().toInt()
    val (dtype, size) =
        when (tensor.dtype()) {
            DType.UINT8 -> Dtype.UINT8 to 1
            DType.INT32 -> Dtype.INT32 to Int.SIZE_BYTES
            DType.INT64 -> Dtype.INT64 to Long.SIZE_BYTES
            DType.FLOAT64 -> Dtype.FLOAT64 to Double.SIZE_BYTES
            else -> throw UnsupportedOperationException("outputs of type ${tensor.dtype()}")
        }
    val data = ByteBuffer.allocate(count * size).order(ByteOrder.LITTLE_ENDIAN)
    when (dtype) {
        Dtype.UINT8 -> data.put(tensor.dataAsUnsignedByteArray)
        Dtype.INT32 -> data.asIntBuffer().put(tensor.dataAsIntArray)
        Dtype.INT64 -> data.asLongBuffer().put(tensor.dataAsLongArray)
        else -> data.asDoubleBuffer().put(tensor.dataAsDoubleArray)
    }
    return TensorValue(dtype, shape, data.array())
}

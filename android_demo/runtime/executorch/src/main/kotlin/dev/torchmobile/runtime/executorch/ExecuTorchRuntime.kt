package dev.torchmobile.runtime.executorch

import dev.torchmobile.core.Dtype
import dev.torchmobile.core.FORWARD
import dev.torchmobile.core.Format
import dev.torchmobile.core.LoadedModel
import dev.torchmobile.core.PREPROCESS
import dev.torchmobile.core.ProgramFile
import dev.torchmobile.core.Runtime
import dev.torchmobile.core.TensorValue
import dev.torchmobile.core.programError
import dev.torchmobile.core.readProgram
import org.pytorch.executorch.DType
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Runs `.pte` files on ExecuTorch: the only file that touches that library.
 *
 * Nothing of `android.*` is used, so that the same class runs in a desktop Java on Android's own
 * x86_64 library.
 */
class ExecuTorchRuntime : Runtime {
    override val format = Format.PROGRAM
    override val name = "ExecuTorch"
    private val opened = mutableSetOf<ProgramModel>()
    private var threads = LIBRARYS_CHOICE

    override fun open(path: String): LoadedModel {
        // Before the library sees it: the program has to be the one that was exported.
        val file = readProgram(path, File(path).name)
        val model = ProgramModel(path, file, { threads }, opened::remove)
        model.load()
        opened += model
        return model
    }

    /**
     * Loaded networks hold on to the pool of threads they were loaded with, and loading one with another
     * count replaces the pool: so all are dropped first, and load again when they run.
     */
    override fun setThreads(threads: Int) {
        if (threads == this.threads) return
        opened.forEach(ProgramModel::unload)
        this.threads = threads
    }
}

private const val LIBRARYS_CHOICE = 0

private class ProgramModel(
    private val path: String,
    private val file: ProgramFile,
    private val threads: () -> Int,
    private val closed: (ProgramModel) -> Unit,
) : LoadedModel {
    override val metadataJson = file.metadataJson
    override val goldenJson = file.goldenJson
    private var module: Module? = null

    /** Load the program and its methods, so that what does not load is known before a photo is there. */
    fun load(): Module =
        translated(loading = true) {
            val made = Module.load(path, Module.LOAD_MODE_MMAP, threads())
            module = made
            for (method in file.program.methods) {
                val code = made.loadMethod(method)
                if (code != 0) error("Method $method does not load: error 0x${code.toString(HEX)}")
            }
            made
        }

    override fun run(inputs: List<TensorValue>): List<TensorValue> {
        val loaded = module ?: load()
        return translated {
            var values = inputs.map { EValue.from(tensor(it)) }.toTypedArray()
            if (PREPROCESS in file.program.methods) values = loaded.execute(PREPROCESS, *values)
            loaded.execute(FORWARD, *values).map { value(it.toTensor()) }
        }
    }

    fun unload() {
        module?.destroy()
        module = null
    }

    override fun close() {
        unload()
        closed(this)
    }

    /** The library's numbers in words. After an error it is loaded anew. */
    private fun <T> translated(
        loading: Boolean = false,
        work: () -> T,
    ): T =
        try {
            work()
        } catch (error: RuntimeException) {
            unload()
            throw IllegalStateException(programError(error.message ?: error.javaClass.simpleName, loading), error)
        }
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

/** A copy: what the library returns lies in memory that its next run writes to. */
private fun value(tensor: Tensor): TensorValue {
    val shape = tensor.shape().toList()
    if (tensor.dtype() == DType.FLOAT) return TensorValue.of(tensor.dataAsFloatArray, shape)
    val count = tensor.numel().toInt()
    val (dtype, size) =
        when (tensor.dtype()) {
            DType.UINT8 -> Dtype.UINT8 to 1
            DType.INT32 -> Dtype.INT32 to Int.SIZE_BYTES
            DType.INT64 -> Dtype.INT64 to Long.SIZE_BYTES
            DType.DOUBLE -> Dtype.FLOAT64 to Double.SIZE_BYTES
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

private const val HEX = 16

package dev.torchmobile.core

import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.security.MessageDigest
import java.util.zip.CRC32

/** What is needed of the methods of an ExecuTorch program to run one. */
data class Program(
    val sha256: String,
    val bytes: Long,
    val methods: List<String>,
)

/**
 * Which [runtime] runs a file; [label] is the name in the metadata and the file's extension, and [runOn]
 * what `runtime_check` calls that runtime on a computer. [dependency] brings it into an app.
 */
enum class Format(
    val label: String,
    val runtime: String,
    val runOn: String,
    val dependency: String,
) {
    LITE("ptl", "PyTorch's lite interpreter", "arm64-2.1.0", "dev.torchmobile:runtime-lite"),
    PROGRAM("pte", "ExecuTorch", "arm64-executorch", "dev.torchmobile:runtime-executorch"),
    ;

    val other: Format get() = if (this == LITE) PROGRAM else LITE
}

/** The two records of a file as they are, and the program they lie behind. */
class ProgramFile(
    val metadataJson: String,
    val goldenJson: String,
    val program: Program,
)

/** What the file at [path] is by its first bytes: an ExecuTorch program, or else a lite file. */
fun formatOf(path: String): Format =
    try {
        RandomAccessFile(File(path), "r").use { if (isProgram(it)) Format.PROGRAM else Format.LITE }
    } catch (_: IOException) {
        // The runtime says why it cannot be read.
        Format.LITE
    }

/**
 * Read the records behind the program in the file at [path]; throw [VisionError]. [file] is its name.
 *
 * Nothing is loaded. The program is exactly the one the metadata were written for: as many bytes, of the
 * same SHA-256.
 */
fun readProgram(
    path: String,
    file: String,
): ProgramFile {
    try {
        RandomAccessFile(File(path), "r").use { stream ->
            val zip = zipBehindProgram(stream)
            val metadata = text(stream, zip, METADATA_RECORD, MAX_METADATA)
            val golden = text(stream, zip, GOLDEN_RECORD, MAX_GOLDEN)
            val program = parseMetadata(metadata, file).program ?: throw OddZip(OF_TWO_FILES)
            programDoubt(stream, zip)?.let { throw OddZip(it) }
            return ProgramFile(metadata, golden, program)
        }
    } catch (error: OddZip) {
        throw VisionError(Failure.Damaged(file, error.message.orEmpty()), error)
    } catch (error: IOException) {
        throw VisionError(Failure.Damaged(file, error.message ?: "it cannot be read"), error)
    }
}

private fun zipBehindProgram(file: RandomAccessFile): PlainZip {
    if (!endsWithZip(file)) throw OddZip(ALONE)
    try {
        return readPlainZip(file)
    } catch (error: OddZip) {
        throw OddZip("$NOT_PLAIN: ${error.message}").initCause(error)
    }
}

/** Why the bytes in front of [zip] are not the program that its metadata name; null where they are. */
internal fun programDoubt(
    file: RandomAccessFile,
    zip: PlainZip,
): String? {
    val program =
        try {
            program(JsonNode.parse(text(file, zip, METADATA_RECORD, MAX_METADATA)).field("program"))
        } catch (error: FieldException) {
            return "$METADATA_RECORD: ${error.message}"
        }
    val same = program.bytes == zip.start && sha256(file, program.bytes) == program.sha256
    return if (same) null else "its program is not the one that the metadata was written for (SHA-256 of the first ${zip.start} bytes)"
}

internal fun program(node: JsonNode): Program {
    val methods = node.field("methods").list().map(JsonNode::string)
    if (FORWARD !in methods || methods.any { it !in METHODS }) node.field("methods").wrong("`$FORWARD`, or `$PREPROCESS` and `$FORWARD`")
    val bytes = node.field("bytes").long()
    if (bytes < 0) node.field("bytes").fault("$bytes is below zero")
    return Program(node.field("sha256").string(), bytes, methods)
}

/**
 * What ExecuTorch means by the number in [message]; the message itself where there is none.
 *
 * While a file is [loading] no input is there that could be wrong.
 */
fun programError(
    message: String,
    loading: Boolean = false,
): String {
    val code =
        CODE
            .find(message)
            ?.groupValues
            ?.get(1)
            ?.toIntOrNull(HEX)
    val meaning = (if (loading) null else OF_INPUTS[code]) ?: MEANINGS[code]
    return meaning?.let { "$it (0x%02x)".format(code) } ?: message
        .lineSequence()
        .first()
        .trim()
        .trimEnd('.')
}

// The words of runtime_check/runtimes/translate.py, of the numbers in executorch/runtime/core/error.h.
// Those that are left out say nothing to a person.
private val MEANINGS =
    mapOf(
        0x01 to "the runtime failed inside",
        0x10 to "it asks for something that this runtime does not support",
        0x11 to "it asks for something that this runtime does not have",
        0x12 to "it, or an input, states something impossible",
        0x14 to "it calls an operator that this runtime does not have",
        0x20 to "something that it refers to is not there: a backend, a method, or some of its data",
        0x21 to "it asks for more memory than was planned for it, or than there is",
        0x22 to "the file cannot be read",
        0x23 to "the program is damaged or incomplete",
        0x30 to "the part of it that was prepared for XNNPACK is damaged, or of another version",
    )
private val OF_INPUTS =
    mapOf(
        0x10 to "an input is larger than the program was made for, or has another shape",
        0x12 to "the inputs are of another type than the program was made for, or not as many",
    )
private val CODE = Regex("[Ee]rror:? 0x([0-9a-fA-F]{1,7})")
private const val HEX = 16

private fun text(
    file: RandomAccessFile,
    zip: PlainZip,
    name: String,
    most: Int,
): String {
    val record = zip.find(name) ?: throw OddZip(WITHOUT_RECORDS)
    val bytes =
        try {
            record.content(file, most)
        } catch (error: OddZip) {
            throw OddZip("$name cannot be read (${error.message})").initCause(error)
        } ?: throw OddZip("$name claims ${record.size} bytes, and $most is the most that is read")
    if (CRC32().apply { update(bytes) }.value != record.crc) throw OddZip("$name cannot be read (its checksum is wrong)")
    return String(bytes)
}

private fun sha256(
    file: RandomAccessFile,
    count: Long,
): String {
    val digest = MessageDigest.getInstance("SHA-256")
    file.seek(0)
    val block = ByteArray(1 shl 16)
    var left = count
    while (left > 0) {
        val read = file.read(block, 0, minOf(left, block.size.toLong()).toInt())
        if (read < 0) throw OddZip("it ends early")
        digest.update(block, 0, read)
        left -= read
    }
    return hex(digest.digest())
}

internal fun hex(bytes: ByteArray) = bytes.joinToString("") { "%02x".format(it) }

// The sentences of runtime_check/artifact/archive.py.
private const val ALONE =
    "it is an ExecuTorch program (.pte) without metadata and golden vectors behind it: it was cut off, " +
        "or not made by this exporter"
private const val NOT_PLAIN = "it is not the zip that this exporter writes, and zip readers could disagree on what it holds"
private const val WITHOUT_RECORDS =
    "it is a model file, but without extra/metadata.json or extra/golden.json: it was not made by this exporter"
private const val OF_TWO_FILES = "it is a .pte, and its metadata is of a .ptl: parts of two files were put together"

/** Names of a program's methods: pixels to the network's input, and the network. */
const val PREPROCESS = "preprocess"
const val FORWARD = "forward"
private val METHODS = setOf(PREPROCESS, FORWARD)
private const val METADATA_RECORD = "extra/$METADATA_KEY"
private const val GOLDEN_RECORD = "extra/$GOLDEN_KEY"
private const val MAX_METADATA = 4 shl 20
private const val MAX_GOLDEN = 64 shl 20

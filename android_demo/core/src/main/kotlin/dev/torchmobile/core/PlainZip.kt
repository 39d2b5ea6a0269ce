package dev.torchmobile.core

import java.io.ByteArrayOutputStream
import java.io.EOFException
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.zip.DataFormatException
import java.util.zip.Inflater

/** The bytes are not a zip that every reader reads alike; [message] says what is odd. */
internal class OddZip(
    message: String,
) : IOException(message)

/** One record: [name] below the top folder, as bytes; its content at [start], [stored] bytes long. */
internal class ZipRecord(
    val name: List<Byte>,
    val size: Long,
    val crc: Long,
    private val start: Long,
    private val stored: Long,
    private val deflated: Boolean,
) {
    /** Hand the content to [take] in blocks (array and count); throw [OddZip] when it is damaged. */
    fun read(
        file: RandomAccessFile,
        take: (ByteArray, Int) -> Unit,
    ) {
        if (deflated) return inflate(file, take)
        blocks(file, take)
    }

    /** The whole content, or null where it is more than [most] bytes. */
    fun content(
        file: RandomAccessFile,
        most: Int,
    ): ByteArray? {
        if (size > most) return null
        val bytes = ByteArrayOutputStream()
        read(file) { block, count -> bytes.write(block, 0, count) }
        return bytes.toByteArray()
    }

    private fun blocks(
        file: RandomAccessFile,
        take: (ByteArray, Int) -> Unit,
    ) {
        val block = ByteArray(BLOCK)
        file.seek(start)
        var left = stored
        while (left > 0) {
            val count = file.read(block, 0, minOf(left, BLOCK.toLong()).toInt())
            if (count < 0) throw OddZip("it ends early")
            take(block, count)
            left -= count
        }
    }

    private fun inflate(
        file: RandomAccessFile,
        take: (ByteArray, Int) -> Unit,
    ) {
        val inflater = Inflater(true)
        val out = ByteArray(BLOCK)
        var written = 0L
        try {
            blocks(file) { block, count ->
                inflater.setInput(block, 0, count)
                while (!inflater.finished() && !inflater.needsInput()) {
                    val made = inflater.inflate(out)
                    written += made
                    if (written > size) throw OddZip("a record is larger than the directory says")
                    if (made == 0 && inflater.needsDictionary()) throw OddZip("a record is damaged")
                    take(out, made)
                }
            }
            if (!inflater.finished() || written != size) throw OddZip("a record is damaged")
        } catch (error: DataFormatException) {
            throw OddZip("a record is damaged, ${error.message}")
        } finally {
            inflater.end()
        }
    }
}

/** The [records] of a zip in its order; [start] bytes of a program are in front of it. */
internal class PlainZip(
    val start: Long,
    val records: List<ZipRecord>,
) {
    fun find(name: String): ZipRecord? = records.find { it.name == name.toByteArray().asList() }
}

/** Whether a file begins as an ExecuTorch program does. */
internal fun isProgram(file: RandomAccessFile): Boolean {
    if (file.length() < PROGRAM_HEAD) return false
    return file.at(0, PROGRAM_HEAD).int(PROGRAM_HEAD - 4) == PROGRAM_SIGNATURE
}

/** Whether the last bytes of [file] are the end of a zip without a comment. */
internal fun endsWithZip(file: RandomAccessFile): Boolean {
    if (file.length() < END) return false
    return file.at(file.length() - END, END).int(0) == END_SIGNATURE
}

/**
 * The records of the zip in [file]; throw [OddZip].
 *
 * Zip readers disagree on crafted files, so what is verified here need not be what the runtime
 * loads. Only the plain form that `exporter` writes is taken: record behind record from the first
 * byte, then the directory, then the end, all saying the same, with no extra field, comment, 64-bit
 * size or size after the data. `check_zip` of the Python side is the same idea with more forms.
 * Behind an ExecuTorch program the first byte is the one that the directory names: [PlainZip.start].
 */
internal fun readPlainZip(file: RandomAccessFile): PlainZip {
    val length = file.length()
    if (length < END) throw OddZip("it is too short")
    val end = file.at(length - END, END)
    val disks = end.int(4)
    val count = end.short(8)
    val size = end.unsigned(12)
    val start = end.unsigned(16)
    if (end.int(0) != END_SIGNATURE || disks != 0 || end.short(10) != count || end.short(20) != 0) {
        throw OddZip("it does not end with a zip's end record")
    }
    if (start + size + END != length || size > MAX_DIRECTORY) throw OddZip("its directory does not lie where its end record says")
    val directory = file.at(start, size.toInt())
    if (size >= LOCATOR && directory.int((size - LOCATOR).toInt()) == LOCATOR_SIGNATURE) throw OddZip("it has a second end record")
    val behind = isProgram(file) && size >= CENTRAL
    val first = if (behind) directory.unsigned(FIRST_OFFSET) else 0
    if (behind && first < PROGRAM_HEAD) throw OddZip("its records lie on its program")
    return PlainZip(first, records(file, directory, count, first..start))
}

private fun records(
    file: RandomAccessFile,
    directory: ByteBuffer,
    count: Int,
    body: LongRange,
): List<ZipRecord> {
    val found = mutableListOf<ZipRecord>()
    val names = mutableSetOf<List<Byte>>()
    var root: List<Byte>? = null
    var position = 0
    var offset = body.first
    repeat(count) {
        if (position + CENTRAL > directory.limit()) throw OddZip("its directory ends early")
        val nameSize = directory.short(position + 28)
        val next = position + CENTRAL + nameSize
        val plain = directory.int(position + 30) == 0 && directory.short(position + 34) == 0
        if (directory.int(position) != CENTRAL_SIGNATURE || next > directory.limit() || !plain) throw OddZip("its directory is odd")
        val name = directory.bytes(position + CENTRAL, nameSize)
        val header = file.at(offset, LOCAL + nameSize)
        val sameFields = directory.bytes(position + 6, LOCAL - 4) == header.bytes(4, LOCAL - 4)
        val starts = directory.unsigned(position + 42) == offset && header.int(0) == LOCAL_SIGNATURE
        if (!starts || !sameFields || header.bytes(LOCAL, nameSize) != name) throw OddZip("a record's header and the directory disagree")
        val record = record(directory, position, name, offset + LOCAL + nameSize)
        val slash = name.indexOf(SLASH)
        if (root == null) root = name.subList(0, slash)
        // torch's reader ignores case.
        if (name.subList(0, slash) != root ||
            !names.add(name.map(::lower))
        ) {
            throw OddZip("it holds two records of one name, or two folders")
        }
        found += record
        offset += LOCAL + nameSize + directory.unsigned(position + 20)
        position = next
    }
    if (position != directory.limit() || offset != body.last) throw OddZip("it holds other bytes than records")
    if (found.sumOf { it.size } >
        MAX_EXPANSION * (body.last - body.first) + MARGIN
    ) {
        throw OddZip("it would unpack to far more than its size")
    }
    return found
}

private fun record(
    directory: ByteBuffer,
    at: Int,
    name: List<Byte>,
    start: Long,
): ZipRecord {
    val stored = directory.unsigned(at + 20)
    val size = directory.unsigned(at + 24)
    val method = directory.short(at + 10)
    val odd =
        directory.short(at + 8) and FLAGS.inv() != 0 ||
            method !in listOf(STORED, DEFLATED) ||
            (method == STORED && stored != size) ||
            stored == FULL ||
            size == FULL
    if (odd || !isPlain(name)) throw OddZip("a record is encrypted, packed in an unknown way or has an odd name")
    val crc = directory.unsigned(at + 16)
    return ZipRecord(name.drop(name.indexOf(SLASH) + 1), size, crc, start, stored, method == DEFLATED)
}

/** A name of two parts or more, none of them a step in the file system, without control characters. */
private fun isPlain(name: List<Byte>): Boolean {
    val text = String(name.toByteArray(), Charsets.ISO_8859_1)
    val parts = text.split('/')
    return parts.size > 1 && parts.none { it in listOf("", ".", "..") } && text.none { it < ' ' || it == '\u007f' || it == '\\' }
}

private fun lower(byte: Byte): Byte = if (byte in 'A'.code.toByte()..'Z'.code.toByte()) (byte + CASE).toByte() else byte

private fun RandomAccessFile.at(
    offset: Long,
    size: Int,
): ByteBuffer {
    val bytes = ByteArray(size)
    seek(offset)
    try {
        readFully(bytes)
    } catch (error: EOFException) {
        throw OddZip("it ends early").initCause(error)
    }
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN)
}

private fun ByteBuffer.int(at: Int) = getInt(at)

private fun ByteBuffer.short(at: Int) = getShort(at).toInt() and 0xFFFF

private fun ByteBuffer.unsigned(at: Int) = getInt(at).toLong() and 0xFFFFFFFFL

private fun ByteBuffer.bytes(
    at: Int,
    size: Int,
): List<Byte> = List(size) { get(at + it) }

private const val BLOCK = 1 shl 16
private const val END = 22
private const val CENTRAL = 46
private const val FIRST_OFFSET = 42
private const val LOCAL = 30
private const val LOCATOR = 20
private const val END_SIGNATURE = 0x06054b50
private const val CENTRAL_SIGNATURE = 0x02014b50
private const val LOCAL_SIGNATURE = 0x04034b50
private const val LOCATOR_SIGNATURE = 0x07064b50

// "ET12", little-endian, behind the four bytes of a flatbuffer's root.
private const val PROGRAM_SIGNATURE = 0x32315445
private const val PROGRAM_HEAD = 8
private const val STORED = 0
private const val DEFLATED = 8

// How hard the writer deflated, and that a name is UTF-8: nothing that changes what is read.
private const val FLAGS = 0b110 or (1 shl 11)
private const val FULL = 0xFFFFFFFFL
private const val MAX_DIRECTORY = 64L shl 20
private const val MAX_EXPANSION = 20
private const val MARGIN = 1L shl 20
private const val SLASH = '/'.code.toByte()
private const val CASE = 'a'.code - 'A'.code

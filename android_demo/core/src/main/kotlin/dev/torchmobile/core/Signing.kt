package dev.torchmobile.core

import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.security.MessageDigest

/** Why a file is not vouched for; [word] is what the fixtures call it. */
enum class Doubt(
    val word: String,
) {
    UNSIGNED("unsigned"),
    UNREADABLE("unreadable"),
    OTHER_KEY("other-key"),
    WRONG_SIGNATURE("wrong-signature"),
    OTHER_RECORDS("other-records"),
    ODD_ZIP("odd-zip"),
}

/** minisign's public key, which a file has to be signed with. */
class PublicKey private constructor(
    private val raw: ByteArray,
) {
    /** Which of several keys it is, as minisign prints it. */
    val id: String get() = shownId(keyId)

    internal val keyId: ByteArray get() = raw.copyOfRange(ALGORITHM_BYTES, ALGORITHM_BYTES + ID_BYTES)
    internal val key: ByteArray get() = raw.copyOfRange(ALGORITHM_BYTES + ID_BYTES, raw.size)

    companion object {
        /**
         * The key that [line] spells (`RW...`), or null for a blank line: then nothing is demanded.
         *
         * Throws [VisionError] for anything else, so that a mistyped key does not open the door.
         */
        fun of(line: String): PublicKey? {
            val text = line.trim()
            if (text.isEmpty()) return null
            val raw =
                exactBase64(text, ALGORITHM_BYTES + ID_BYTES + KEY_BYTES)
                    ?: throw VisionError(Failure.BadPublicKey(text))
            if (String(raw, 0, ALGORITHM_BYTES) != ALGORITHM) throw VisionError(Failure.BadPublicKey(text))
            return PublicKey(raw)
        }
    }
}

/**
 * Refuse the file at [path] unless [key] signed exactly the records in it; throw [VisionError].
 *
 * Everything in the file is read and hashed, nothing is loaded. [file] is its name for people. Format:
 * `runtime_check/signing.py`.
 */
fun requireVouched(
    key: PublicKey,
    path: String,
    file: String,
) {
    fun refuse(
        doubt: Doubt,
        why: String,
    ): Nothing = throw VisionError(Failure.NotVouchedFor(file, why, key.id, doubt))
    try {
        RandomAccessFile(File(path), "r").use { vouch(it, readPlainZip(it), key, ::refuse) }
    } catch (error: OddZip) {
        refuse(Doubt.ODD_ZIP, "it is not a plain zip, ${error.message}")
    } catch (error: IOException) {
        throw VisionError(Failure.Damaged(file, error.message ?: "it cannot be read"), error)
    }
}

private fun vouch(
    file: RandomAccessFile,
    zip: PlainZip,
    key: PublicKey,
    refuse: (Doubt, String) -> Nothing,
) {
    val own = listOf(zip.find(MANIFEST), zip.find(SIGNATURE))
    val (manifestRecord, signatureRecord) = own
    if (manifestRecord == null || signatureRecord == null) refuse(Doubt.UNSIGNED, "it is not signed")
    val manifest = manifestRecord.content(file, MAX_MANIFEST) ?: refuse(Doubt.UNREADABLE, "its manifest is too long")
    val signature =
        signatureRecord.content(file, MAX_SIGNATURE)?.let(::parseSignature)
            ?: refuse(Doubt.UNREADABLE, "its signature cannot be read")
    if (!signature.id.contentEquals(key.keyId)) refuse(Doubt.OTHER_KEY, "key ${shownId(signature.id)} signed it")
    val good =
        ed25519Verifies(key.key, signature.bytes, manifest) &&
            ed25519Verifies(key.key, signature.ofComment, signature.bytes + signature.comment)
    if (!good) refuse(Doubt.WRONG_SIGNATURE, "its signature does not fit")
    val listed = parseManifest(manifest) ?: refuse(Doubt.UNREADABLE, "its manifest cannot be read")
    val found = zip.records.filter { it !in own }.associate { it.name to sha256(file, it) }
    val changed = (listed.keys + found.keys).find { listed[it] != found[it] }
    if (changed != null) refuse(Doubt.OTHER_RECORDS, "its record ${String(changed.toByteArray())} is not as it was signed")
    // The metadata are signed, and the program's hash is in them.
    if (zip.start > 0 && programDoubt(file, zip) != null) refuse(Doubt.OTHER_RECORDS, "its program is not as it was signed")
}

private fun sha256(
    file: RandomAccessFile,
    record: ZipRecord,
): String {
    val digest = MessageDigest.getInstance("SHA-256")
    record.read(file) { block, count -> digest.update(block, 0, count) }
    return hex(digest.digest())
}

/** What is in a minisign file; nothing in it is verified yet. */
private class MinisignSignature(
    val id: ByteArray,
    val bytes: ByteArray,
    val comment: ByteArray,
    val ofComment: ByteArray,
)

// Every byte is one character: comments may be in any encoding, and are signed as bytes.
private val BYTES = Charsets.ISO_8859_1

private fun parseSignature(data: ByteArray): MinisignSignature? {
    val lines = String(data, BYTES).removeSuffix("\n").split('\n')
    if (lines.size != 4 || !lines[0].startsWith(UNTRUSTED) || !lines[2].startsWith(TRUSTED)) return null
    val raw = exactBase64(lines[1], ALGORITHM_BYTES + ID_BYTES + SIGNATURE_BYTES) ?: return null
    if (String(raw, 0, ALGORITHM_BYTES, BYTES) != ALGORITHM) return null
    return MinisignSignature(
        id = raw.copyOfRange(ALGORITHM_BYTES, ALGORITHM_BYTES + ID_BYTES),
        bytes = raw.copyOfRange(ALGORITHM_BYTES + ID_BYTES, raw.size),
        comment = lines[2].removePrefix(TRUSTED).toByteArray(BYTES),
        ofComment = exactBase64(lines[3], SIGNATURE_BYTES) ?: return null,
    )
}

/** Record name, as bytes, to SHA-256 in hex; null for what `sha256sum` does not write. */
private fun parseManifest(data: ByteArray): Map<List<Byte>, String>? {
    val text = String(data, BYTES)
    if (!text.endsWith('\n')) return null
    val found = mutableMapOf<List<Byte>, String>()
    for (line in text.dropLast(1).split('\n')) {
        val match = LINE.matchEntire(line) ?: return null
        val name = match.groupValues[2]
        if (name == MANIFEST || name == SIGNATURE) return null
        if (found.put(name.toByteArray(BYTES).asList(), match.groupValues[1]) != null) return null
    }
    return found
}

/** Decode base64 of [size] bytes that has one spelling only; null for anything else. */
private fun exactBase64(
    text: String,
    size: Int,
): ByteArray? {
    val bytes =
        try {
            decodeBase64(text)
        } catch (_: IllegalArgumentException) {
            return null
        }
    // With other spare bits in the last letter the same bytes would have a second spelling.
    return bytes.takeIf { it.size == size && spareBits(text) == 0 }
}

private fun shownId(id: ByteArray) = id.reversed().joinToString("") { "%02X".format(it) }

private const val MANIFEST = "extra/manifest.txt"
private const val SIGNATURE = "extra/manifest.txt.minisig"
private const val MAX_MANIFEST = 16 shl 20
private const val MAX_SIGNATURE = 16 shl 10
private const val ALGORITHM = "Ed"
private const val ALGORITHM_BYTES = 2
private const val ID_BYTES = 8
private const val KEY_BYTES = 32
private const val SIGNATURE_BYTES = 64
private const val UNTRUSTED = "untrusted comment: "
private const val TRUSTED = "trusted comment: "
private val LINE = Regex("([0-9a-f]{64})  ([^\n]+)")

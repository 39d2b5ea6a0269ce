package dev.torchmobile.demo

import android.content.Context
import android.net.Uri
import android.provider.OpenableColumns
import dev.torchmobile.core.Format
import dev.torchmobile.core.PublicKey
import dev.torchmobile.core.firstLine
import dev.torchmobile.core.requireVouched
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.security.MessageDigest

private val SUFFIXES = Format.entries.map { ".${it.label}" }

private fun isModel(name: String) = SUFFIXES.any(name::endsWith)

/**
 * Copy every model of the assets to files, once per installed version, and list them with those the
 * user opened. The library can only read records from a file, not from an asset.
 */
fun modelFiles(context: Context): List<ModelFile> {
    val installed = context.packageManager.getPackageInfo(context.packageName, 0).lastUpdateTime
    val folder = File(context.filesDir, "assets-$installed")
    context.filesDir
        .listFiles { file -> file.name.startsWith("assets-") && file != folder }
        ?.forEach(File::deleteRecursively)
    for (name in context.assets
        .list("")
        .orEmpty()
        .filter(::isModel)) {
        val target = File(folder, name)
        if (!target.exists()) context.assets.open(name).use { copyWhole(it, target) }
    }
    val opened = openedFolder(context)
    val all = listOf(folder, opened).flatMap { it.listFiles().orEmpty().sorted() }
    return all.filter { isModel(it.name) }.map { ModelFile(it.name, it.path, it.parentFile == opened) }
}

/** A file that was chosen: where it was copied to, and where it goes once it has proved good. */
class Incoming(
    private val context: Context,
    private val copied: File,
    private val target: File,
) {
    val name: String get() = target.name
    val path: String get() = copied.path

    /** Put it in the place of an earlier one of its name. */
    fun keep(): ModelFile {
        target.parentFile?.mkdirs()
        if (!copied.renameTo(target)) throw fileProblem(context, name, R.string.file_no_room)
        return ModelFile(target.name, target.path, isOpened = true)
    }

    fun discard() {
        copied.delete()
    }
}

/**
 * Copy the file the user chose with the system's picker; throw [DemoException] or `VisionError`.
 *
 * With a [key], a file that it did not sign is refused.
 */
fun importModel(
    context: Context,
    uri: Uri,
    key: PublicKey?,
): Incoming {
    var shown = uri.lastPathSegment ?: "model"
    try {
        displayName(context, uri)?.let { shown = it }
        // A provider's name is not to be trusted as a path.
        val safe = shown.substringAfterLast('/').replace(Regex("[^A-Za-z0-9._-]"), "_")
        val suffix = SUFFIXES.firstOrNull(safe::endsWith)
        val name = safe.removeSuffix(suffix.orEmpty()).take(MAX_NAME) + (suffix ?: SUFFIXES.first())
        val copied = File(context.cacheDir, "incoming/$name")
        val stream = context.contentResolver.openInputStream(uri) ?: throw IOException("it cannot be opened")
        stream.use { copyWhole(it, copied) { part -> if (key != null) requireVouched(key, part.path, shown) } }
        return Incoming(context, copied, File(openedFolder(context), name))
    } catch (error: IOException) {
        val why = error.message ?: context.getString(R.string.file_unreadable)
        throw DemoException(context.getString(R.string.file_problem, shown, why), error)
    } catch (error: SecurityException) {
        throw fileProblem(context, shown, R.string.file_forbidden, error)
    } catch (error: RuntimeException) {
        // What a provider throws in its own process arrives as it is.
        val why = context.getString(R.string.file_provider, firstLine(error))
        throw DemoException(context.getString(R.string.file_problem, shown, why), error)
    }
}

private fun fileProblem(
    context: Context,
    name: String,
    why: Int,
    cause: Throwable? = null,
) = DemoException(context.getString(R.string.file_problem, name, context.getString(why)), cause)

private fun displayName(
    context: Context,
    uri: Uri,
): String? =
    context.contentResolver
        .query(uri, arrayOf(OpenableColumns.DISPLAY_NAME), null, null, null)
        ?.use { if (it.moveToFirst()) it.getString(0) else null }

private const val MAX_NAME = 80

private fun openedFolder(context: Context) = File(context.filesDir, "opened")

/** Copy so that [target] is whole or absent, whenever the app is killed; [check] may throw before it is there. */
private fun copyWhole(
    source: InputStream,
    target: File,
    check: (File) -> Unit = {},
) {
    target.parentFile?.mkdirs()
    val part = File(target.path + ".part")
    try {
        part.outputStream().use { output ->
            source.copyTo(output)
            output.fd.sync()
        }
        check(part)
        if (!part.renameTo(target)) throw IOException("no room for ${target.name}")
    } finally {
        part.delete()
    }
}

/** SHA-256 of a file, lower-case hexadecimal. */
fun sha256(file: File): String {
    val digest = MessageDigest.getInstance("SHA-256")
    file.inputStream().use { input ->
        val block = ByteArray(1 shl 16)
        while (true) {
            val count = input.read(block)
            if (count < 0) break
            digest.update(block, 0, count)
        }
    }
    return digest.digest().joinToString("") { "%02x".format(it) }
}

package dev.torchmobile.demo

import android.content.Context
import android.net.Uri
import android.provider.OpenableColumns
import dev.torchmobile.core.DemoException
import dev.torchmobile.core.Failure
import dev.torchmobile.core.ModelFile
import dev.torchmobile.core.PublicKey
import dev.torchmobile.core.requireVouched
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.security.MessageDigest

private const val SUFFIX = ".ptl"

/**
 * Copy every `.ptl` of the assets to files, once per installed version, and list them with those the
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
        .filter { it.endsWith(SUFFIX) }) {
        val target = File(folder, name)
        if (!target.exists()) context.assets.open(name).use { copyWhole(it, target) }
    }
    val all = listOf(folder, openedFolder(context)).flatMap { it.listFiles().orEmpty().sorted() }
    return all.filter { it.name.endsWith(SUFFIX) }.map { ModelFile(it.name, it.path) }
}

/**
 * Copy the file the user chose with the system's picker; throw [DemoException].
 *
 * With a [key], a file that it did not sign is gone before it takes the place of one of its name.
 */
fun importModel(
    context: Context,
    uri: Uri,
    key: PublicKey?,
): ModelFile {
    val shown =
        context.contentResolver
            .query(uri, arrayOf(OpenableColumns.DISPLAY_NAME), null, null, null)
            ?.use { if (it.moveToFirst()) it.getString(0) else null }
            ?: uri.lastPathSegment
            ?: "model"
    // A provider's name is not to be trusted as a path.
    val safe = shown.substringAfterLast('/').replace(Regex("[^A-Za-z0-9._-]"), "_").removeSuffix(SUFFIX)
    val target = File(openedFolder(context), safe.take(MAX_NAME) + SUFFIX)
    try {
        val stream = context.contentResolver.openInputStream(uri) ?: throw IOException("it cannot be opened")
        stream.use { copyWhole(it, target) { part -> if (key != null) requireVouched(key, part.path, shown) } }
    } catch (error: IOException) {
        throw DemoException(Failure.DamagedModel(shown, error.message ?: "it cannot be read"), error)
    } catch (error: SecurityException) {
        throw DemoException(Failure.DamagedModel(shown, "the app may not read it"), error)
    }
    return ModelFile(target.name, target.path)
}

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

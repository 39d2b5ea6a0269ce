package dev.torchmobile.demo

import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import java.io.File
import java.io.FileNotFoundException

/** Lends single files of one cache folder to other apps, by grant only (not exported). */
class SharedFileProvider : ContentProvider() {
    override fun onCreate() = true

    override fun openFile(
        uri: Uri,
        mode: String,
    ): ParcelFileDescriptor = ParcelFileDescriptor.open(file(uri), ParcelFileDescriptor.parseMode(mode))

    override fun getType(uri: Uri): String = if (file(uri).extension == "json") "application/json" else "image/jpeg"

    override fun query(
        uri: Uri,
        projection: Array<String>?,
        selection: String?,
        selectionArgs: Array<String>?,
        sortOrder: String?,
    ): Cursor {
        val columns = projection ?: arrayOf(OpenableColumns.DISPLAY_NAME, OpenableColumns.SIZE)
        val row =
            columns.map {
                when (it) {
                    OpenableColumns.DISPLAY_NAME -> file(uri).name
                    OpenableColumns.SIZE -> file(uri).length()
                    else -> null
                }
            }
        return MatrixCursor(columns).apply { addRow(row) }
    }

    override fun insert(
        uri: Uri,
        values: ContentValues?,
    ): Uri? = null

    override fun update(
        uri: Uri,
        values: ContentValues?,
        selection: String?,
        selectionArgs: Array<String>?,
    ) = 0

    override fun delete(
        uri: Uri,
        selection: String?,
        selectionArgs: Array<String>?,
    ) = 0

    private fun file(uri: Uri): File {
        val name = uri.lastPathSegment
        if (name !in setOf(PHOTO, BENCHMARK)) throw FileNotFoundException("$uri")
        return File(folder(checkNotNull(context)), checkNotNull(name))
    }

    companion object {
        const val PHOTO = "photo.jpg"
        const val BENCHMARK = "benchmark.json"

        private fun folder(context: Context) = File(context.cacheDir, "shared").apply { mkdirs() }

        /** The file [name] (one of the two above) and the address to lend it under. */
        fun shared(
            context: Context,
            name: String,
        ): Pair<File, Uri> = File(folder(context), name) to Uri.parse("content://${context.packageName}.shared/$name")
    }
}

package dev.torchmobile.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import java.io.File
import java.util.Base64

/** Signed files, and every way of tampering with them, judged as Python and Swift judge them. */
class SigningTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val fixtures = Fixtures.read("signed.json")
    private val good = bytes(fixtures.field("good"))
    private val key = PublicKey.of(fixtures.field("public_key").string())!!
    private val other = PublicKey.of(fixtures.field("other_public_key").string())!!

    private fun bytes(node: JsonNode) = Base64.getDecoder().decode(node.string())

    private fun file(data: ByteArray): File = folder.newFile().also { it.writeBytes(data) }

    /** A fixture's file: stretches of the good one, [start, count], and bytes that are new. */
    private fun file(case: JsonNode): File =
        file(
            case.field("pieces").list().fold(ByteArray(0)) { made, piece ->
                val stretch = runCatching { piece.list().map { it.long().toInt() } }.getOrNull()
                made + if (stretch == null) bytes(piece) else good.copyOfRange(stretch[0], stretch[0] + stretch[1])
            },
        )

    private fun verdict(
        file: File,
        key: PublicKey = this.key,
    ): String =
        try {
            requireVouched(key, file.path, "tiny.ptl")
            "signed"
        } catch (error: VisionError) {
            val failure = error.failure as Failure.NotVouchedFor
            assertTrue(failure.sentence, failure.sentence.startsWith("tiny.ptl was not opened: "))
            assertTrue(failure.sentence, "that key ${key.id} signed" in failure.sentence)
            failure.doubt.word
        }

    @Test
    fun `every file of the fixtures gets its verdict`() {
        val cases = fixtures.field("cases").list()
        for (case in cases) {
            val name = case.field("name").string()
            assertEquals(name, case.field("verdict").string(), verdict(file(case)))
        }
        assertEquals(Doubt.values().map { it.word }.toSet() + "signed", cases.map { it.field("verdict").string() }.toSet())
    }

    @Test
    fun `every changed byte of a small file is found`() {
        // But for what is no content: the comment that nobody signed, and in the directory what no reader
        // reads, such as the version of the program that wrote it.
        val accepted =
            (0 until good.size).filter {
                verdict(file(good.clone().also { bytes -> bytes[it] = (bytes[it] + 1).toByte() })) ==
                    "signed"
            }
        val text = String(good, Charsets.ISO_8859_1)
        val directory = text.indexOf("PK\u0001\u0002")
        val comment = text.indexOf("untrusted comment: ") + "untrusted comment: ".length
        val harmless = accepted.filter { it >= directory || it in comment until text.indexOf('\n', comment) }
        assertEquals(accepted - harmless.toSet(), emptyList<Int>())
    }

    @Test
    fun `another key, and a key's id`() {
        assertEquals("other-key", verdict(file(good), other))
        assertEquals(fixtures.field("key_id").string(), key.id)
    }

    @Test
    fun `a record larger than the directory says, and one that ends early`() {
        assertEquals("odd-zip", verdict(file(good.copyOf(good.size - 1))))
        assertEquals("odd-zip", verdict(file(ByteArray(0))))
        val absent = File(folder.root, "absent.ptl")
        val failure = assertThrows(VisionError::class.java) { requireVouched(key, absent.path, "absent.ptl") }.failure
        assertTrue(failure.sentence, failure is Failure.Damaged)
    }

    @Test
    fun `forms of a zip that the exporter does not write are refused`() {
        val zips =
            listOf<(java.util.zip.ZipOutputStream) -> Unit>(
                // Sizes behind the data, as Java writes them.
                { zip -> zip.putNextEntry(java.util.zip.ZipEntry("archive/a")) },
                { zip -> zip.setComment("x").also { zip.putNextEntry(java.util.zip.ZipEntry("archive/a")) } },
            )
        for (write in zips) {
            val made = folder.newFile()
            java.util.zip
                .ZipOutputStream(made.outputStream())
                .use(write)
            assertEquals("odd-zip", verdict(made))
        }
    }

    @Test
    fun `a blank key demands nothing, and one that is none opens nothing`() {
        assertNull(PublicKey.of(""))
        assertNull(PublicKey.of(" \n"))
        val line = fixtures.field("public_key").string()
        assertEquals(key.id, PublicKey.of(" $line\n")!!.id)
        for (bad in listOf("x", line.dropLast(4), line + "=", "RE" + line.drop(2), line.dropLast(1) + "\u00e9")) {
            val failure = assertThrows(bad, VisionError::class.java) { PublicKey.of(bad) }.failure
            assertEquals(Failure.BadPublicKey(bad), failure)
        }
    }

    @Test
    fun `a file that nobody vouched for does not reach the runtime`() {
        val file = file(good)
        var opened = 0
        val runtime =
            object : Runtime by FakeRuntime() {
                override fun open(path: String) = FakeRuntime().open(path).also { opened++ }
            }
        VisionModel.open(file, publicKey = key, runtimes = listOf(runtime)).close()
        assertEquals(1, opened)
        assertThrows(VisionError::class.java) { VisionModel.open(file, publicKey = other, runtimes = listOf(runtime)) }
        assertEquals(1, opened)
        VisionModel.open(file, runtimes = listOf(runtime)).close()
    }
}

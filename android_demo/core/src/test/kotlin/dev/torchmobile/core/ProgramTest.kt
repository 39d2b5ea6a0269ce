package dev.torchmobile.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import java.io.File
import java.util.Base64

/** Files with a program in front of their records, judged as Python judges them. */
class ProgramTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val fixtures = Fixtures.read("programs.json")
    private val cases = fixtures.field("cases").list()
    private val good = bytes(fixtures.field("good"))
    private val key = PublicKey.of(fixtures.field("public_key").string())!!

    private fun bytes(node: JsonNode) = Base64.getDecoder().decode(node.string())

    private fun file(data: ByteArray): File = folder.newFile().also { it.writeBytes(data) }

    private fun file(case: JsonNode): File =
        file(
            case.field("pieces").list().fold(ByteArray(0)) { made, piece ->
                val stretch = runCatching { piece.list().map { it.long().toInt() } }.getOrNull()
                made + if (stretch == null) bytes(piece) else good.copyOfRange(stretch[0], stretch[0] + stretch[1])
            },
        )

    private fun refusal(read: () -> Unit): Failure = assertThrows(VisionError::class.java) { read() }.failure

    @Test
    fun `every file of the fixtures gets its verdict`() {
        for (case in cases) {
            val name = case.field("name").string()
            val path = file(case).path
            if (case.field("verdict").string() == "whole") {
                val read = readProgram(path, "tiny.pte")
                assertEquals(name, Format.PROGRAM, parseMetadata(read.metadataJson, "tiny.pte").format)
                assertEquals(name, 3, parseGolden(read.goldenJson, "tiny.pte").cases.size)
                requireVouched(key, path, "tiny.pte")
                continue
            }
            val failure = refusal { readProgram(path, "tiny.pte") }
            assertTrue("$name: $failure", failure is Failure.Damaged)
            val says = case.field("says").string()
            assertTrue("$name: ${failure.sentence}", says.isNotEmpty() && says in failure.sentence)
            assertTrue(failure.sentence, failure.sentence.startsWith("tiny.pte is damaged or was not made"))
        }
        assertEquals(setOf("whole", "damaged"), cases.map { it.field("verdict").string() }.toSet())
    }

    @Test
    fun `the program is the first bytes and its methods are the metadata's`() {
        val read = readProgram(file(good).path, "tiny.pte")
        val program = bytes(fixtures.field("program"))
        assertEquals(program.size.toLong(), read.program.bytes)
        assertEquals(fixtures.field("methods").list().map { it.string() }, read.program.methods)
    }

    @Test
    fun `no byte of the program may change, and a key sees it before anything is read`() {
        val size = bytes(fixtures.field("program")).size
        for (at in 8 until size) {
            val path = file(good.copyOf().also { it[at] = (it[at] + 1).toByte() }).path
            val plain = refusal { readProgram(path, "x.pte") } as Failure.Damaged
            val detail = "its program is not the one that the metadata was written for (SHA-256 of the first $size bytes)"
            assertEquals(detail, plain.why)
            val vouched = refusal { requireVouched(key, path, "x.pte") } as Failure.NotVouchedFor
            assertEquals(Doubt.OTHER_RECORDS, vouched.doubt)
        }
    }

    @Test
    fun `every prefix of a file is refused`() {
        for (end in good.indices step 13) {
            val path = file(good.copyOf(end)).path
            if (formatOf(path) == Format.PROGRAM) refusal { readProgram(path, "x.pte") }
        }
    }

    @Test
    fun `bytes decide which runtime a file is for, not its name`() {
        assertEquals(Format.PROGRAM, formatOf(file(good).path))
        assertEquals(Format.LITE, formatOf(file(good.copyOfRange(bytes(fixtures.field("program")).size, good.size)).path))
        assertEquals(Format.LITE, formatOf(file(ByteArray(3)).path))
        assertEquals(Format.LITE, formatOf(File(folder.root, "none").path))
    }

    @Test
    fun `only behind a program may a zip begin elsewhere`() {
        val start = bytes(fixtures.field("program")).size
        // The same offsets, but nothing that ExecuTorch would load in front.
        val path = file(ByteArray(start) { 1 } + good.copyOfRange(start, good.size)).path
        val failure = refusal { requireVouched(key, path, "x.ptl") } as Failure.NotVouchedFor
        assertEquals(Doubt.ODD_ZIP, failure.doubt)
    }

    @Test
    fun `each file goes to its own runtime, and one that is not there is named`() {
        val lite = FakeRuntime()
        val program = FakeRuntime(format = Format.PROGRAM)
        val path = file(good)
        val zip = file(good.copyOfRange(bytes(fixtures.field("program")).size, good.size))
        val both = listOf(lite, program)
        VisionModel.open(path, threads = 3, runtimes = both).close()
        assertEquals(listOf(0, 1), listOf(lite.closed, program.closed))
        VisionModel.open(zip, threads = 1, runtimes = both).close()
        assertEquals(listOf(1, 1), listOf(lite.closed, program.closed))
        assertEquals(listOf(listOf(1), listOf(3)), listOf(lite.threads, program.threads))
        val alone = refusal { VisionModel.open(path, runtimes = listOf(lite)) }
        val remedy = "Add `dev.torchmobile:runtime-executorch` to the app"
        assertEquals(Failure.RuntimeAbsent(path.name, "ExecuTorch", remedy, "ptl"), alone)
        assertEquals("there is no such file", (refusal { VisionModel.open(File(folder.root, "none")) } as Failure.CannotOpen).why)
    }

    @Test
    fun `the runtime's numbers are said as Python says them`() {
        val words = Fixtures.read("program_errors.json")
        for ((name, loading) in listOf("loading" to true, "running" to false)) {
            val expected = words.field(name)
            var known = 0
            for (number in 0..0x7f) {
                val code = "0x%02x".format(number)
                val meaning = expected.optional(code)?.string()
                if (meaning != null) known++
                val said = meaning?.let { "$it ($code)" }
                val thrown = "[Executorch Error 0x${number.toString(16)}] Name: x.\nDetailed logs:\n"
                assertEquals(said ?: thrown.lines().first().trimEnd('.'), programError(thrown, loading))
                val native = "Cannot get load module [Native Error: 0x${number.toString(16)}]"
                assertEquals(said ?: native, programError(native, loading))
                val method = "Method forward does not load: error $code"
                assertEquals(said ?: method, programError(method, loading))
            }
            assertTrue(name, known >= 10)
        }
        assertEquals("no number", programError("no number"))
    }

    @Test
    fun `a photo that the program would compute on all the same is refused here`() {
        val text = readProgram(file(good).path, "tiny.pte").metadataJson
        var ran = 0
        val runtime =
            FakeRuntime(text) {
                ran++
                listOf(tinyForward(it[0]))
            }
        val model = opened(runtime)

        fun refused(
            height: Int,
            width: Int,
        ) = refusal { model.run(mapOf(PHOTO_INPUT to RgbImage(height, width, ByteArray(3 * height * width)).tensor())) }
        assertEquals(Failure.PhotoTooSmall(5, 1, 2), refused(1, 5))
        assertEquals(Failure.PhotoTooLarge(40, 65, 64), refused(65, 40))
        assertEquals(Failure.PhotoTooLong(25, 3, 8), refused(3, 25))
        assertEquals(0, ran)
        model.run(mapOf(PHOTO_INPUT to RgbImage(3, 24, ByteArray(216)).tensor()))
        assertEquals(1, ran)
    }
}

package dev.torchmobile.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** `tests/golden/sentences.json`: what is said is what Python and iOS say. */
class SentencesTest {
    private val fixtures = Fixtures.read("sentences.json")

    private fun failure(
        kind: String,
        given: JsonNode,
    ): Failure {
        fun text(name: String) = given.field(name).string()

        fun int(name: String) = text(name).toInt()
        return when (kind) {
            "missing_record" -> Failure.MissingRecord(text("file"), text("record"))
            "schema_older" -> Failure.SchemaOlder(text("file"), text("version"), int("reads"))
            "schema_newer" -> Failure.SchemaNewer(text("file"), text("version"), int("reads"))
            "damaged" -> Failure.Damaged(text("file"), text("why"))
            "not_vouched_for" -> Failure.NotVouchedFor(text("file"), text("why"), text("key"), Doubt.UNSIGNED)
            "bad_public_key" -> Failure.BadPublicKey(text("text"))
            "runtime_absent" -> Failure.RuntimeAbsent(text("file"), text("runtime"), text("remedy"), text("other"))
            "cannot_open" -> Failure.CannotOpen(text("file"), text("why"), text("run_on"))
            "run_failed" -> Failure.RunFailed(text("file"), text("why"), text("run_on"))
            "takes_tensors" -> Failure.TakesTensors(text("file"), text("inputs"))
            "photo_too_small" -> Failure.PhotoTooSmall(int("width"), int("height"), int("limit"))
            "photo_too_long" -> Failure.PhotoTooLong(int("width"), int("height"), int("limit"))
            "photo_too_large" -> Failure.PhotoTooLarge(int("width"), int("height"), int("limit"))
            "photo_unreadable" -> Failure.PhotoUnreadable(text("why"))
            "out_of_memory" -> Failure.OutOfMemory(text("what"))
            "closed" -> Failure.Closed(text("file"))
            else -> error("no failure is called $kind")
        }
    }

    @Test
    fun `every failure says its sentence`() {
        val seen =
            fixtures.field("failures").list().map { case ->
                val failure = failure(case.field("kind").string(), case.field("arguments"))
                assertEquals(case.field("sentence").string(), failure.sentence)
                assertEquals(failure.sentence, VisionError(failure).message)
                failure::class
            }
        assertTrue(
            "$seen",
            Failure::class.java.declaredClasses
                .filter { Failure::class.java.isAssignableFrom(it) }
                .size == seen.toSet().size,
        )
    }

    @Test
    fun `every verification says its sentence`() {
        for (case in fixtures.field("verdicts").list()) {
            val verification =
                Verification(
                    cases = case.field("cases").int(),
                    passed = case.field("passed").int(),
                    maxAbs = case.optional("max_abs")?.double(),
                    allowed = case.field("allowed").double(),
                    several = case.field("several").boolean(),
                    top1 = case.optional("top1")?.double(),
                    firstProblem = case.optional("first_problem")?.string(),
                    runOn = case.field("run_on").string(),
                )
            assertEquals(case.field("sentence").string(), verification.sentence)
        }
    }

    @Test
    fun `numbers are written as C writes them, halves to even`() {
        assertEquals(listOf("0.2%", "0.4%", "-0.0%", "12.5%"), listOf(0.0025, 0.00375, -0.0001, 0.125).map(::percent))
        assertEquals(
            listOf("0", "-0", "1", "-2.5", "1.234e+04", "0.0001234", "9.877e-05", "1000", "1e+04", "1.234e+100"),
            listOf(0.0, -0.0, 1.0, -2.5, 12344.0, 0.0001234, 0.00009877, 999.96, 9999.6, 1.234e100).map(::decimal),
        )
        assertEquals(listOf("9.7e-07", "1.0e+01", "0.0e+00"), listOf(9.75e-7, 9.96, 0.0).map(::scientific))
        assertEquals("1 years", withUnit(1.0, "years"))
        assertEquals("not a number", withUnit(Double.NaN, "years"))
    }
}

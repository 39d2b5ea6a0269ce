package dev.torchmobile.core

import com.google.gson.JsonParser
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread

class VisionModelTest {
    private val image = RgbImage(4, 6, ByteArray(72) { (3 * it).toByte() })

    private fun refusal(work: () -> Unit): Failure = assertThrows(VisionError::class.java) { work() }.failure

    @Test
    fun `the golden vectors pass on a runtime that computes what Python computes`() {
        val model = opened(FakeRuntime())
        val verification = model.verify()
        assertEquals(Verification(3, 3, 0.0, 1e-5, false, 1.0, null, "arm64-2.1.0"), verification)
        assertTrue(verification.passes)
    }

    @Test
    fun `a wrong runtime fails and says where`() {
        val verification = opened(FakeRuntime { listOf(TensorValue.of(FloatArray(5) { 0.2f }, listOf(5))) }).verify()
        assertFalse(verification.passes)
        assertTrue(verification.firstProblem!!, "wide: " in verification.firstProblem!!)
        assertTrue(verification.maxAbs!! > verification.allowed)
    }

    @Test
    fun `a case that throws counts as failed, and the others go on`() {
        val broken =
            FakeRuntime { inputs ->
                if (inputs[0].shape == listOf(7L, 3L, 3L)) error("shape mismatch\nC++ frames follow")
                listOf(tinyForward(inputs[0]))
            }
        val verification = opened(broken).verify()
        assertEquals(listOf(3, 2), listOf(verification.cases, verification.passed))
        assertTrue(verification.firstProblem!!, "tall: tiny.ptl loaded but did not run: shape mismatch. " in verification.firstProblem!!)
        assertFalse("C++ frames" in verification.firstProblem!!)
    }

    @Test
    fun `a sampled output that is wrong where nobody looks is wrong in its mean`() {
        val wrong =
            FakeRuntime { inputs ->
                val values = tinyForward(inputs[0]).doubles().map { it.toFloat() }.toFloatArray()
                // The third case holds the values at 1 and 3.
                if (inputs[0].shape == listOf(5L, 5L, 3L)) values[2] += 0.001f
                listOf(TensorValue.of(values, listOf(5)))
            }
        val verification = opened(wrong).verify()
        assertEquals(2, verification.passed)
        assertTrue(verification.firstProblem!!, verification.firstProblem!!.startsWith("sampled: "))
    }

    @Test
    fun `only of a classifier does it speak of classes`() {
        val text = Fixtures.text("contract/metadata.json").replace("\"image-classification\"", "null")
        val verification = opened(FakeRuntime(text)).verify()
        assertTrue(verification.passes)
        assertNull(verification.top1)
    }

    @Test
    fun `a damaged record closes the model`() {
        val runtime = FakeRuntime(golden = "{}")
        assertTrue(refusal { opened(runtime) } is Failure.Damaged)
        assertEquals(1, runtime.closed)
    }

    @Test
    fun `what a runtime throws when it loads is told apart`() {
        fun throwing(error: Throwable) =
            object : Runtime by FakeRuntime() {
                override fun open(path: String): LoadedModel = throw error
            }
        assertEquals(
            Failure.CannotOpen("tiny.ptl", "no such operator", "arm64-2.1.0"),
            refusal { opened(throwing(IllegalStateException("no such operator.\nframes"))) },
        )
        assertEquals(Failure.OutOfMemory("tiny.ptl"), refusal { opened(throwing(OutOfMemoryError())) })
        assertTrue(refusal { opened(throwing(UnsatisfiedLinkError("no library"))) } is Failure.RuntimeAbsent)
        val own = Failure.Damaged("tiny.ptl", "its program is another")
        assertEquals(own, refusal { opened(throwing(VisionError(own))) })
    }

    @Test
    fun `a photo is decoded as small as the model allows, and timed`() {
        var now = 0L
        val model = opened(FakeRuntime()) { now.also { now += 2_500_000 } }
        assertEquals(2.5, model.loadMilliseconds, 0.0)
        val asked = mutableListOf<Int>()
        // The network of 4 x 4 with 0.875 of it kept wants 10 pixels.
        val result = model.run(Photo(48, 32) { sample -> image.also { asked += sample } })
        assertEquals(listOf(2), asked)
        assertEquals(2, result.sample)
        assertEquals(2.5, result.milliseconds, 0.0)
        val scores = tinyForward(image.tensor()).doubles()
        val labels = listOf("amber", "beech, beech tree", "clay", "dew", "Größe ü 猫")
        val classes = (result.content as Content.Classes).classes
        assertEquals(topK(scores, 5).map { labels[it] }, classes.map { it.label })
        assertEquals(listOf(4, 6), listOf(result.height, result.width))
    }

    @Test
    fun `a photo out of bounds is refused before it is decoded`() {
        val model = opened(FakeRuntime())

        fun of(
            width: Int,
            height: Int,
        ) = refusal { model.run(Photo(width, height) { error("decoded") }) }
        assertEquals(Failure.PhotoTooSmall(1, 1, 2), of(1, 1))
        assertEquals(Failure.PhotoTooLong(90, 10, 8), of(90, 10))
        val own = Failure.PhotoUnreadable("it is damaged")
        assertEquals(own, refusal { model.run(Photo(48, 32) { throw VisionError(own) }) })
        assertEquals(Failure.OutOfMemory("tiny.ptl"), refusal { model.run(Photo(48, 32) { throw OutOfMemoryError() }) })
    }

    @Test
    fun `an image that is there already is averaged down`() {
        val levels = ByteArray(4 * 4 * 3) { (it / 3 / 4 * 10 + it / 3 % 4).toByte() }
        val alpha = ByteArray(16) { (it * 4).toByte() }
        val half = RgbImage(4, 4, levels, alpha).shrunk(2)
        // Of 0, 1, 10, 11 the mean is 5.5, halves up.
        assertEquals(listOf(6, 8, 26, 28), List(4) { half.bytes[3 * it].toInt() })
        assertArrayEquals(byteArrayOf(10, 18, 42, 50), half.alpha)
        assertTrue(half.shrunk(1) === half)
        // What is left at the edges is dropped.
        assertEquals(listOf(1, 2), RgbImage(3, 5, ByteArray(45)).shrunk(2).let { listOf(it.height, it.width) })
        val model = opened(FakeRuntime())
        assertEquals(24, model.run(Photo(RgbImage(32, 48, ByteArray(3 * 32 * 48) { 9 }))).width)
    }

    @Test
    fun `a model of tensors says what it takes, and runs on that`() {
        val metadata = Fixtures.text("contract/metadata_tensor.json")
        val model = opened(FakeRuntime(metadata) { listOf(TensorValue.of(FloatArray(5) { it.toFloat() }, listOf(1, 5))) }, "net.ptl")
        assertFalse(model.takesPhotos)
        val failure = Failure.TakesTensors("net.ptl", "pixels: float32 1 x 3 x 4 x 4, age: int64 1 x 2")
        assertEquals(failure, refusal { model.run(Photo(image)) })
        assertEquals(failure, model.photoRefusal)
        val inputs =
            mapOf(
                "age" to TensorValue(Dtype.INT64, listOf(1, 2), ByteArray(16)),
                "pixels" to TensorValue.of(FloatArray(48), listOf(1, 3, 4, 4)),
            )
        assertEquals(4.0, model.run(inputs).getValue("output_0").double(4), 0.0)
        val missing = refusal { model.run(inputs - "age") } as Failure.RunFailed
        assertEquals("its inputs are pixels, age, and pixels came", missing.why)
    }

    @Test
    fun `the photo comes in the colors the model takes`() {
        for (color in PhotoColor.entries) {
            val taken = mutableListOf<TensorValue>()
            val metadata = JsonParser.parseString(Fixtures.text("contract/metadata.json")).asJsonObject
            metadata["input"].asJsonObject.addProperty("color", color.name)
            val model =
                opened(
                    FakeRuntime("$metadata") {
                        taken += it
                        listOf(tinyForward(it[0]))
                    },
                )
            model.run(Photo(image))
            assertEquals(listOf(4L, 6L, color.channels.toLong()), taken.single().shape)
        }
    }

    @Test
    fun `after close everything says so, and a second close does nothing`() {
        val runtime = FakeRuntime()
        val model = opened(runtime)
        model.close()
        model.close()
        assertEquals(1, runtime.closed)
        val works = listOf({ model.verify() }, { model.run(Photo(image)) }, { model.run(mapOf(PHOTO_INPUT to image.tensor())) })
        for (work in works) assertEquals(Failure.Closed("tiny.ptl"), refusal { work() })
    }

    @Test
    fun `calls from many threads wait for each other`() {
        val inside = AtomicInteger()
        var most = 0
        val model =
            opened(
                FakeRuntime {
                    most = maxOf(most, inside.incrementAndGet())
                    Thread.sleep(2)
                    inside.decrementAndGet()
                    listOf(tinyForward(it[0]))
                },
            )
        List(4) { thread { repeat(5) { model.run(Photo(image)) } } }.forEach(Thread::join)
        assertEquals(1, most)
    }

    @Test
    fun `the usual threads are four at most`() {
        val cores =
            java.lang.Runtime
                .getRuntime()
                .availableProcessors()
        assertEquals(minOf(cores, 4), VisionModel.usualThreads)
    }
}

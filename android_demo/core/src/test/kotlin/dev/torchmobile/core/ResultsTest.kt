package dev.torchmobile.core

import com.google.gson.JsonElement
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test

/** `tests/golden/results.json`: what a photo's outputs become by each task, as on iOS. */
class ResultsTest {
    private val fixtures = JsonParser.parseString(Fixtures.text("results.json")).asJsonObject

    private fun model(case: JsonObject): VisionModel {
        val metadata = JsonParser.parseString(Fixtures.text("contract/metadata.json")).asJsonObject
        for (name in listOf("task", "output")) metadata.add(name, case[name])
        val outputs = case["outputs"].asJsonArray.map { tensor(JsonNode.parse("$it")) }
        return opened(FakeRuntime("$metadata") { outputs })
    }

    private fun photo(case: JsonObject): Photo {
        val (height, width) = case["photo"].asJsonArray.map { it.asInt }
        return Photo(RgbImage(height, width, ByteArray(3 * height * width)))
    }

    /** [expected] with [name] for a message; numbers to nine digits, null for what is not finite. */
    private fun assertIs(
        name: String,
        expected: JsonElement,
        actual: Any?,
    ) {
        when {
            actual == null || (actual is Double && !actual.isFinite()) -> {
                assertTrue("$name: $expected", expected.isJsonNull)
            }

            actual is Number -> {
                assertEquals(name, expected.asDouble, actual.toDouble(), 1e-9)
            }

            actual is Boolean -> {
                assertEquals(name, expected.asBoolean, actual)
            }

            actual is List<*> -> {
                assertEquals(name, expected.asJsonArray.size(), actual.size)
                expected.asJsonArray.zip(actual) { one, other -> assertIs(name, one, other) }
            }

            actual is Map<*, *> -> {
                assertEquals(name, expected.asJsonObject.keySet(), actual.keys)
                for ((key, value) in actual) assertIs("$name: $key", expected.asJsonObject["$key"], value)
            }

            else -> {
                assertEquals(name, expected.asString, actual)
            }
        }
    }

    private fun color(argb: Int) = "#%06x".format(argb and 0xFFFFFF)

    private fun row(row: OutputRow) =
        mapOf("name" to row.name, "shape" to row.shape, "axes" to row.axes, "dtype" to row.dtype.label, "range" to row.range)

    private fun spelled(content: Content): Map<String, Any?> =
        when (content) {
            is Content.Classes -> {
                val classes =
                    content.classes.map {
                        mapOf("index" to it.index, "label" to it.label, "score" to it.score, "bar" to it.bar, "text" to it.text)
                    }
                mapOf("kind" to "classes", "classes" to classes)
            }

            is Content.ClassMap -> {
                val legend =
                    content.legend.map {
                        val drawn = it.color?.let(::color)
                        mapOf("index" to it.index, "label" to it.label, "color" to drawn, "share" to it.share, "text" to it.text)
                    }
                mapOf("kind" to "class_map", "legend" to legend)
            }

            is Content.Depth -> {
                mapOf(
                    "kind" to "depth",
                    "minimum" to content.minimum,
                    "maximum" to content.maximum,
                    "unit" to content.unit,
                    "minimum_text" to content.minimumText,
                    "maximum_text" to content.maximumText,
                )
            }

            is Content.Boxes -> {
                val range = content.range?.let { listOf(it.start, it.endInclusive) }
                mapOf("kind" to "boxes", "range" to range, "boxes" to content.boxes.map(::spelled))
            }

            is Content.KeyPoints -> {
                mapOf("kind" to "key_points", "points" to content.points.map(::spelled))
            }

            is Content.Picture -> {
                val levels = content.picture.argb.flatMap { listOf((it shr 16) and 255, (it shr 8) and 255, it and 255) }
                mapOf(
                    "kind" to "picture",
                    "height" to content.picture.height,
                    "width" to content.picture.width,
                    "black" to content.black,
                    "white" to content.white,
                    "unit" to content.unit,
                    "black_text" to content.blackText,
                    "white_text" to content.whiteText,
                    "rgb" to levels,
                )
            }

            is Content.Embedding -> {
                val values = content.values.toList()
                mapOf("kind" to "embedding", "values" to values, "cosine" to content.cosine, "text" to content.text)
            }

            is Content.Numbers -> {
                val numbers =
                    content.numbers.map { mapOf("name" to it.name, "value" to it.value, "unit" to it.unit, "text" to it.text) }
                mapOf("kind" to "numbers", "numbers" to numbers)
            }

            is Content.Tensors -> {
                mapOf("kind" to "tensors", "rows" to content.rows.map(::row))
            }
        }

    private fun spelled(found: Detection) =
        mapOf(
            "row" to found.row,
            "box" to with(found.box) { listOf(left, top, right, bottom) },
            "class_index" to found.classIndex,
            "label" to found.label,
            "score" to found.score,
            "text" to found.text,
            "color" to color(found.color),
        )

    private fun spelled(point: KeyPoint) =
        mapOf(
            "row" to point.row,
            "index" to point.index,
            "label" to point.label,
            "x" to point.place.x,
            "y" to point.place.y,
            "score" to point.score,
            "text" to point.text,
            "sure" to point.isSure,
        )

    @Test
    fun `every result is that of the fixtures`() {
        val cases = fixtures["cases"].asJsonArray.map { it.asJsonObject }
        assertTrue(cases.size > 30)
        for (case in cases) {
            val name = case["name"].asString
            val photo = photo(case)
            val result = model(case).use { it.run(photo) }
            val compared =
                case["previous"].takeIf { it.isJsonArray }?.let { values ->
                    val vector = Content.Embedding(values.asJsonArray.map { it.asDouble }.toDoubleArray())
                    result.comparedTo(VisionResult(vector, emptyList(), emptyList(), 0.0, result.image, 1))
                } ?: result.comparedTo(null)
            assertIs(name, case["content"], spelled(compared.content))
            assertIs("$name, others", case["others"], compared.others.map(::row))
            assertEquals(name, case["output"].asJsonObject["tensors"].asJsonArray.size(), result.outputs.size)
            assertEquals(name, listOf(photo.width, photo.height), listOf(result.width, result.height))
        }
    }

    @Test
    fun `outputs that the metadata does not describe are refused in words`() {
        for (case in fixtures["refused"].asJsonArray.map { it.asJsonObject }) {
            val error = assertThrows(VisionError::class.java) { model(case).run(photo(case)) }
            assertEquals(Failure.RunFailed("tiny.ptl", case["why"].asString, "arm64-2.1.0"), error.failure)
        }
    }

    @Test
    fun `only an embedding is compared with that of another photo`() {
        val cases = fixtures["cases"].asJsonArray.map { it.asJsonObject }
        val (numbers, vector) = listOf("a number", "a vector").map { name -> cases.single { it["name"].asString == name } }
        val (age, embedding) = listOf(numbers, vector).map { case -> model(case).run(photo(case)) }
        assertTrue(age.comparedTo(embedding) === age)
        assertNull((embedding.comparedTo(age).content as Content.Embedding).cosine)
    }
}

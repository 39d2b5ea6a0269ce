package dev.torchmobile.core

import com.google.gson.Gson
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

/** What outputs are shown as, by task. */
class PredictionTest {
    private val image = RgbImage(4, 6, ByteArray(72) { (3 * it).toByte() })

    private fun tensor(
        shape: List<Long>,
        vararg values: Number,
    ) = TensorValue.of(FloatArray(values.size) { values[it].toFloat() }, shape)

    /** The metadata of the image classifier with another task and output. */
    private fun artifact(
        task: String?,
        tensors: String,
        outputs: List<TensorValue>,
        input: String = "RGB",
        labels: List<String>? = null,
        forward: ((List<TensorValue>) -> List<TensorValue>)? = null,
    ): Artifact {
        val json =
            com.google.gson.JsonParser
                .parseString(Fixtures.text("contract/metadata.json"))
                .asJsonObject
        json.addProperty("task", task)
        json["input"].asJsonObject.addProperty("color", input)
        val output = json["output"].asJsonObject
        output.addProperty("returned", "list")
        output.add("labels", Gson().toJsonTree(labels))
        output.add(
            "tensors",
            com.google.gson.JsonParser
                .parseString(tensors),
        )
        return openArtifact(FakeRuntime("$json", forward = forward ?: { outputs }), "p", "tiny.ptl")
    }

    private fun described(
        name: String,
        shape: String,
        axes: String,
        holds: String,
        more: String = "",
    ) = """{"name": "$name", "shape": [$shape], "dtype": "float32", "axes": [$axes], "holds": "$holds"$more}"""

    private val row = described("logits", "1, 3", "\"N\", \"classes\"", "logits")

    @Test
    fun `a row of classes of a classifier is ranked`() {
        for (task in listOf("image-classification", "multi-label-classification")) {
            val shown = predict(artifact(task, "[$row]", listOf(tensor(listOf(1, 3), -1, 4, 2))), image).shown as Shown.Classes
            assertEquals(listOf("class 1", "class 2", "class 0"), shown.top.map { it.label })
            assertFalse(shown.areShares)
        }
    }

    @Test
    fun `outputs of no known task, and several rows, are a table`() {
        val two = tensor(listOf(2, 3), -1, 4, 2, 0, 0, 1)
        for ((task, value) in listOf(null to tensor(listOf(1, 3), -1, 4, 2), "image-classification" to two)) {
            val made = predict(artifact(task, "[$row]", listOf(value)), image)
            assertEquals(Shown.Outputs, made.shown)
            val line = made.table.single()
            assertEquals("logits", line.name)
            assertEquals(value.shape, line.shape)
            assertEquals(listOf("N", "classes"), line.axes)
            assertEquals(Figures(-1.0, 4.0, value.doubles().average()), line.figures)
        }
    }

    @Test
    fun `what a picture does not show is in the table`() {
        val map = described("out", "1, 2", "\"H\", \"W\"", "class_map", ", \"space\": \"photo\"")
        val made =
            predict(
                artifact("image-segmentation", "[$row, $map]", listOf(tensor(listOf(1, 3), 1, 2, 3), tensor(listOf(1, 2), 0, 1))),
                image,
            )
        val shown = made.shown as Shown.Segments
        assertEquals(listOf("class 0", "class 1"), shown.legend.map { it.label })
        assertEquals(listOf("logits"), made.table.map { it.name })
        assertEquals(listOf(4, 6), listOf(shown.picture.height, shown.picture.width))
    }

    @Test
    fun `depths come with their range and unit`() {
        val map = described("depth", "1, 2", "\"H\", \"W\"", "depth", ", \"space\": \"network\", \"unit\": \"meters\"")
        val shown = predict(artifact("depth-estimation", "[$map]", listOf(tensor(listOf(1, 2), 1, 3))), image).shown as Shown.Depth
        assertEquals(Figures(1.0, 3.0, 2.0), shown.range)
        assertEquals("meters", shown.unit)
    }

    @Test
    fun `an embedding is compared with the one before`() {
        val vector = described("pooled", "2", "\"features\"", "embedding")
        val artifact = artifact("image-feature-extraction", "[$vector]", listOf(tensor(listOf(2), 3, 4)))
        val first = predict(artifact, image).shown as Shown.Embedding
        assertNull(first.cosine)
        val second = predict(artifact, image, doubleArrayOf(4.0, 3.0)).shown as Shown.Embedding
        // 3 x 4 + 4 x 3 = 24, of lengths 5 and 5.
        assertEquals(0.96, second.cosine!!, 1e-9)
        assertNull(cosine(doubleArrayOf(1.0), doubleArrayOf(1.0, 2.0)))
        assertNull(cosine(doubleArrayOf(0.0), doubleArrayOf(1.0)))
    }

    @Test
    fun `regression is a number with its unit`() {
        val age = described("age", "1", "\"N\"", "values", ", \"unit\": \"years\"")
        val shown = predict(artifact("image-regression", "[$age]", listOf(tensor(listOf(1), 41.5))), image).shown as Shown.Numbers
        assertEquals(listOf(Measured("age", 41.5, "years")), shown.lines)
        val pose = described("pose", "2", "\"2\"", "values")
        val both = predict(artifact("image-regression", "[$pose]", listOf(tensor(listOf(2), 1, 2))), image).shown as Shown.Numbers
        assertEquals(listOf("pose 1", "pose 2"), both.lines.map { it.name })
        val labeled = artifact("image-regression", "[$pose]", listOf(tensor(listOf(2), 1, 2)), labels = listOf("pitch", "yaw"))
        assertEquals(listOf("pitch", "yaw"), (predict(labeled, image).shown as Shown.Numbers).lines.map { it.name })
        // More than a person reads.
        val many = described("many", "17", "\"17\"", "values")
        val table = predict(artifact("image-regression", "[$many]", listOf(tensor(listOf(17), *Array(17) { it }))), image)
        assertEquals(Shown.Outputs, table.shown)
    }

    @Test
    fun `a detector's outputs are boxes`() {
        val text = Fixtures.text("contract/metadata_detector.json")
        val classes = TensorValue(Dtype.INT64, listOf(1), byteArrayOf(2, 0, 0, 0, 0, 0, 0, 0))
        val outputs = listOf(tensor(listOf(1, 4), 0, 0, 2, 4), classes, tensor(listOf(1), 0.75))
        val made = predict(openArtifact(FakeRuntime(text) { outputs }, "p", "tiny.ptl"), image)
        val found = (made.shown as Shown.Found).detections.single()
        assertEquals("clay", found.label)
        // The network's 4 x 4 are the photo's 4 x 6 without a pixel on either side.
        assertEquals(Box(1.0, 0.0, 3.0, 4.0), found.box)
        assertTrue(made.table.isEmpty())
    }

    @Test
    fun `the photo comes in the colors the model takes`() {
        for (color in PhotoColor.entries) {
            val taken = mutableListOf<TensorValue>()
            val age = described("age", "1", "\"N\"", "values")
            val model =
                artifact("image-regression", "[$age]", emptyList(), color.name, forward = {
                    taken += it
                    listOf(tensor(listOf(1), 1))
                })
            predict(model, image)
            assertEquals(listOf(4L, 6L, color.channels.toLong()), taken.single().shape)
        }
    }
}

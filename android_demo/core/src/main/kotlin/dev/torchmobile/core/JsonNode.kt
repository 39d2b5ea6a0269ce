package dev.torchmobile.core

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonNull
import com.google.gson.JsonObject
import com.google.gson.JsonParseException
import com.google.gson.JsonParser
import com.google.gson.JsonPrimitive
import com.google.gson.Strictness
import com.google.gson.stream.JsonReader
import com.google.gson.stream.JsonToken
import java.io.IOException
import java.io.StringReader

/** A field is missing or of another type. [message] names its path from the root. */
internal class FieldException(
    message: String,
) : Exception(message)

/**
 * A JSON value that knows its [path], so that every complaint names the field.
 *
 * Gson, because `org.json` is another class on Android than on the JVM (what the tests prove would
 * not be what ships) and kotlinx.serialization wants a compiler plugin. Only its tree is used: no
 * reflection, so R8 needs no rules for it.
 */
internal class JsonNode(
    private val element: JsonElement,
    private val path: String,
) {
    fun field(name: String): JsonNode = optional(name) ?: throw FieldException("field `${child(name)}`: missing")

    /** The field, or null where it is absent or `null`. */
    fun optional(name: String): JsonNode? {
        val value = (element as? JsonObject ?: wrong("an object")).get(name)
        return if (value == null || value is JsonNull) null else JsonNode(value, child(name))
    }

    fun list(): List<JsonNode> =
        (element as? JsonArray ?: wrong("a list")).mapIndexed { index, value ->
            JsonNode(value, child("$index"))
        }

    fun string(): String = primitive("a text") { it.isString }.asString

    fun boolean(): Boolean = primitive("true or false") { it.isBoolean }.asBoolean

    fun double(): Double = primitive("a number") { it.isNumber }.asDouble

    fun long(): Long {
        val number = primitive("a whole number") { it.isNumber }.asBigDecimal
        // A hostile exponent would make exact conversion build a number of a billion digits.
        if (number.precision() - number.scale() > MAX_DIGITS) wrong("a whole number below 2^63")
        return try {
            number.longValueExact()
        } catch (_: ArithmeticException) {
            wrong("a whole number below 2^63")
        }
    }

    fun int(): Int = long().let { if (it in Int.MIN_VALUE..Int.MAX_VALUE) it.toInt() else wrong("a number below 2^31") }

    /** The one of [known] that [spelled] gives this text for. */
    fun <T> oneOf(
        known: List<T>,
        spelled: (T) -> String,
    ): T {
        val text = string()
        return known.firstOrNull { spelled(it) == text } ?: wrong("one of ${known.joinToString(transform = spelled)}")
    }

    /** A length in pixels: above zero, and no more than the longest side a photo may have. */
    fun side(): Int = int().also { if (it !in 1..MAX_SIDE) wrong("a number from 1 to $MAX_SIDE") }

    fun shape(): List<Long> =
        field("shape").let { node ->
            node
                .list()
                .map {
                    it.long()
                }.also { if (it.any { n -> n < 0 }) node.wrong("zero or more") }
        }

    fun dtype(): Dtype = field("dtype").oneOf(Dtype.entries) { it.label }

    fun wrong(wanted: String): Nothing = fault("not $wanted")

    fun fault(what: String): Nothing = throw FieldException("field `$path`: $what")

    private fun child(name: String) = if (path.isEmpty()) name else "$path.$name"

    private fun primitive(
        wanted: String,
        fits: (JsonPrimitive) -> Boolean,
    ): JsonPrimitive = (element as? JsonPrimitive)?.takeIf(fits) ?: wrong(wanted)

    companion object {
        private const val MAX_DIGITS = 19
        private const val MAX_DEPTH = 64
        private const val MAX_SIDE = 65_536

        /** Parse one JSON object by the letter of RFC 8259. */
        fun parse(text: String): JsonNode =
            try {
                val reader = JsonReader(StringReader(text))
                reader.strictness = Strictness.STRICT
                reader.nestingLimit = MAX_DEPTH
                val element = JsonParser.parseReader(reader)
                if (reader.peek() != JsonToken.END_DOCUMENT) throw FieldException("text after the JSON")
                if (element !is JsonObject) throw FieldException("not a JSON object")
                JsonNode(element, "")
            } catch (error: JsonParseException) {
                throw FieldException("not JSON (${error.javaClass.simpleName})")
            } catch (error: IOException) {
                throw FieldException("not JSON (${error.javaClass.simpleName})")
            } catch (error: NumberFormatException) {
                throw FieldException("not JSON (${error.javaClass.simpleName})")
            }
    }
}

package dev.torchmobile.core

import java.math.BigInteger
import java.security.MessageDigest

/**
 * Verifying Ed25519 signatures, by RFC 8032, section 5.1.7.
 *
 * Android has it from API 33 and the app starts at 24; Bouncy Castle would be 8 MB of library for
 * these lines. Big integers are slow and their time depends on their values, which is no leak here:
 * signature, message and key are public. Tests compare it with Java's own and with Bouncy Castle's
 * on thousands of signatures, good, damaged and not canonical.
 */
internal fun ed25519Verifies(
    key: ByteArray,
    signature: ByteArray,
    message: ByteArray,
): Boolean {
    if (key.size != COORDINATE || signature.size != 2 * COORDINATE) return false
    val r = signature.copyOf(COORDINATE)
    val s = number(signature.copyOfRange(COORDINATE, 2 * COORDINATE))
    val public = Point.decode(key) ?: return false
    // A larger one would be a second spelling of the same signature.
    if (s >= ORDER) return false
    val sha = MessageDigest.getInstance("SHA-512")
    val h = number(sha.digest(r + key + message)).mod(ORDER)
    return (BASE * s + public.negated() * h).encode().contentEquals(r)
}

private const val COORDINATE = 32
private const val BITS = 255
private val TWO = BigInteger.valueOf(2) // `BigInteger.TWO` is newer than the app's oldest Android
private val PRIME = TWO.pow(BITS) - BigInteger("19")
private val ORDER = TWO.pow(252) + BigInteger("27742317777372353535851937790883648493")
private val D = (BigInteger("-121665") * BigInteger("121666").modInverse(PRIME)).mod(PRIME)
private val ROOT_OF_MINUS_ONE = TWO.modPow((PRIME - BigInteger.ONE) / BigInteger("4"), PRIME)
private val BASE: Point = Point.of((BigInteger("4") * BigInteger("5").modInverse(PRIME)).mod(PRIME), odd = false)!!

/** A little-endian number. */
private fun number(bytes: ByteArray) = BigInteger(1, bytes.reversedArray())

/** A point in extended coordinates: x = X / Z, y = Y / Z, t = x * y * Z. */
private class Point(
    private val x: BigInteger,
    private val y: BigInteger,
    private val z: BigInteger,
    private val t: BigInteger,
) {
    /** RFC 8032, section 5.1.4; complete, so it doubles, too. */
    operator fun plus(other: Point): Point {
        val a = (y - x) * (other.y - other.x)
        val b = (y + x) * (other.y + other.x)
        val c = t * TWO * D % PRIME * other.t
        val d = z * TWO * other.z
        val e = (b - a).mod(PRIME)
        val f = (d - c).mod(PRIME)
        val g = (d + c).mod(PRIME)
        val h = (b + a).mod(PRIME)
        return Point(e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME)
    }

    operator fun times(scalar: BigInteger): Point {
        var sum = ZERO
        for (bit in scalar.bitLength() - 1 downTo 0) {
            sum += sum
            if (scalar.testBit(bit)) sum += this
        }
        return sum
    }

    fun negated() = Point(PRIME - x, y, z, PRIME - t)

    /** 32 bytes: y, little-endian, and the sign of x in the highest bit. */
    fun encode(): ByteArray {
        val inverse = z.modInverse(PRIME)
        val sign = if ((x * inverse).mod(PRIME).testBit(0)) BigInteger.ONE.shiftLeft(BITS) else BigInteger.ZERO
        val bytes = ((y * inverse).mod(PRIME) + sign).toByteArray().reversedArray()
        return bytes.copyOf(COORDINATE)
    }

    companion object {
        val ZERO = Point(BigInteger.ZERO, BigInteger.ONE, BigInteger.ONE, BigInteger.ZERO)

        /** Null for 32 bytes that are no point, or another spelling of one. */
        fun decode(bytes: ByteArray): Point? {
            val value = number(bytes)
            return of(value.clearBit(BITS), odd = value.testBit(BITS))
        }

        /** RFC 8032, section 5.1.3. */
        fun of(
            y: BigInteger,
            odd: Boolean,
        ): Point? {
            if (y >= PRIME) return null
            val u = (y * y - BigInteger.ONE).mod(PRIME)
            val v = (D * y * y + BigInteger.ONE).mod(PRIME)
            val square = u * v.modInverse(PRIME) % PRIME
            var x = square.modPow((PRIME + BigInteger("3")).shiftRight(3), PRIME)
            if (x * x % PRIME != square) x = x * ROOT_OF_MINUS_ONE % PRIME
            if (x * x % PRIME != square || (x.signum() == 0 && odd)) return null
            if (x.testBit(0) != odd) x = PRIME - x
            return Point(x, y, BigInteger.ONE, x * y % PRIME)
        }
    }
}

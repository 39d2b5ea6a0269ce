package dev.torchmobile.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import java.math.BigInteger
import java.security.GeneralSecurityException
import java.security.KeyFactory
import java.security.KeyPairGenerator
import java.security.Signature
import java.security.spec.X509EncodedKeySpec
import java.util.Random

/** Our verification against the answers of RFC 8032, and against Java's own on thousands of cases. */
class Ed25519Test {
    private val prime = BigInteger.ONE.shiftLeft(255) - BigInteger("19")
    private val order = BigInteger.ONE.shiftLeft(252) + BigInteger("27742317777372353535851937790883648493")

    private fun hex(text: String) = ByteArray(text.length / 2) { text.substring(2 * it, 2 * it + 2).toInt(16).toByte() }

    private fun little(value: BigInteger) = ByteArray(32) { value.shiftRight(8 * it).toByte() }

    private fun number(bytes: ByteArray) = BigInteger(1, bytes.reversedArray())

    private fun java(
        key: ByteArray,
        signature: ByteArray,
        message: ByteArray,
    ): Boolean =
        try {
            val spec = X509EncodedKeySpec(hex("302a300506032b6570032100") + key)
            val verifier = Signature.getInstance("Ed25519")
            verifier.initVerify(KeyFactory.getInstance("Ed25519").generatePublic(spec))
            verifier.update(message)
            verifier.verify(signature)
        } catch (_: GeneralSecurityException) {
            false
        }

    @Test
    fun `the answers of the RFC`() {
        // Section 7.1, TEST 1 to 3: key, message, signature.
        val answers =
            listOf(
                Triple(
                    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                    "",
                    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155" +
                        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
                ),
                Triple(
                    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                    "72",
                    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
                        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
                ),
                Triple(
                    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                    "af82",
                    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac" +
                        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
                ),
            )
        for ((key, message, signature) in answers) {
            assertTrue(ed25519Verifies(hex(key), hex(signature), hex(message)))
            assertFalse(ed25519Verifies(hex(key), hex(signature), hex(message) + 1))
        }
    }

    /** What can be done to a good signature: key, signature, message. */
    private fun damaged(
        random: Random,
        key: ByteArray,
        signature: ByteArray,
        message: ByteArray,
    ): List<Triple<ByteArray, ByteArray, ByteArray>> {
        fun flipped(
            bytes: ByteArray,
            from: Int = 0,
            until: Int = bytes.size,
        ) = bytes.clone().also {
            val bit = 8 * from + random.nextInt(8 * (until - from))
            it[bit / 8] = (it[bit / 8].toInt() xor (1 shl bit % 8)).toByte()
        }
        val (r, s) = signature.copyOf(32) to number(signature.copyOfRange(32, 64))
        return listOf(
            Triple(key, signature, message),
            Triple(key, signature, flipped(message)),
            Triple(key, flipped(signature, 0, 32), message),
            Triple(key, flipped(signature, 32, 64), message),
            Triple(flipped(key), signature, message),
            Triple(key, r + little(s + order), message),
            Triple(key, r + little((s + BigInteger.ONE).mod(order)), message),
            Triple(key, r + little(order - s), message),
        )
    }

    @Test
    fun `thousands of signatures are judged as Java judges them`() {
        val random = Random(1)
        val generator = KeyPairGenerator.getInstance("Ed25519")
        var good = 0
        var cases = 0
        repeat(300) {
            val pair = generator.generateKeyPair()
            val key =
                pair.public.encoded
                    .takeLast(32)
                    .toByteArray()
            val message = ByteArray(1 + random.nextInt(200)).also(random::nextBytes)
            val signer = Signature.getInstance("Ed25519")
            signer.initSign(pair.private)
            signer.update(message)
            for ((k, s, m) in damaged(random, key, signer.sign(), message)) {
                val expected = java(k, s, m)
                assertEquals("${number(k)} ${number(s)} ${number(m)}", expected, ed25519Verifies(k, s, m))
                cases++
                if (expected) good++
            }
        }
        assertEquals(300, good)
        assertEquals(2400, cases)
    }

    @Test
    fun `points that are not canonical, of small order or none are judged as Java judges them`() {
        val sign = BigInteger.ONE.shiftLeft(255)
        // y of the points of order 1, 2, 4 and 8, the small numbers, and the same plus the prime.
        val eight = BigInteger("2707385501144840649318225287225658788936804267575313519463743609750303021540" + "02")
        val ys =
            (0L..20L).map(BigInteger::valueOf) + listOf(prime - BigInteger.ONE, prime - BigInteger.valueOf(2), eight, prime - eight) +
                (0L..18L).map { prime + BigInteger.valueOf(it) }
        val points = ys.flatMap { listOf(little(it), little(it + sign)) }
        val message = "a message".toByteArray()
        val scalars = listOf(BigInteger.ZERO, BigInteger.ONE, order - BigInteger.ONE, order, BigInteger.ONE.shiftLeft(256) - BigInteger.ONE)
        var good = 0
        for (key in points) {
            for (r in points.filterIndexed { index, _ -> index % 3 == 0 } + listOf(key)) {
                val signature = r + little(scalars[(number(key) + number(r)).mod(BigInteger("7")).toInt().coerceAtMost(4)])
                val expected = java(key, signature, message)
                assertEquals("${number(key)} ${number(r)}", expected, ed25519Verifies(key, signature, message))
                if (expected) good++
            }
            val zero = little(BigInteger.ONE) + little(BigInteger.ZERO)
            assertEquals("${number(key)}", java(key, zero, message), ed25519Verifies(key, zero, message))
        }
        // The identity as key and as R, with S = 0, is what any verifier by the RFC takes.
        assertTrue(ed25519Verifies(little(BigInteger.ONE), little(BigInteger.ONE) + little(BigInteger.ZERO), message))
    }

    @Test
    fun `other lengths are no signatures`() {
        for ((key, signature) in listOf(31 to 64, 33 to 64, 32 to 63, 32 to 65, 0 to 0)) {
            assertFalse(ed25519Verifies(ByteArray(key), ByteArray(signature), ByteArray(1)))
        }
    }
}

package dev.torchmobile.core

import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Test

/** Elements named by where they belong: batch, channel, place. */
class ChannelsLastTest {
    private fun bytes(vararg names: Int) = ByteArray(names.size) { names[it].toByte() }

    @Test
    fun `channels that lie last come before the places`() {
        val lying = bytes(111, 121, 112, 122, 211, 221, 212, 222)
        assertEquals(
            listOf(111, 112, 121, 122, 211, 212, 221, 222).map { it.toByte() },
            fromChannelsLast(lying, 1, listOf(2, 2, 1, 2)).toList(),
        )
        assertEquals(fromChannelsLast(lying, 1, listOf(2, 2, 1, 2)).toList(), fromChannelsLast(lying, 1, listOf(2, 2, 1, 2, 1)).toList())
    }

    @Test
    fun `an element keeps the order of its bytes`() {
        val lying = bytes(11, 12, 21, 22, 31, 32, 41, 42)
        // One image, two channels, two places, two bytes each.
        assertEquals(bytes(11, 12, 31, 32, 21, 22, 41, 42).toList(), fromChannelsLast(lying, 2, listOf(1, 2, 2, 1)).toList())
    }

    @Test
    fun `one channel, one place or nothing stays as it is`() {
        val some = bytes(1, 2, 3, 4)
        assertEquals(some.toList(), fromChannelsLast(some, 1, listOf(1, 1, 2, 2)).toList())
        assertEquals(some.toList(), fromChannelsLast(some, 1, listOf(1, 4, 1, 1)).toList())
        assertEquals(0, fromChannelsLast(bytes(), 4, listOf(0, 3, 2, 2)).size)
        assertThrows(IllegalArgumentException::class.java) { fromChannelsLast(some, 1, listOf(2, 2)) }
    }
}

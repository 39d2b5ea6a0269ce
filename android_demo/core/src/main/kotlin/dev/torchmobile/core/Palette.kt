package dev.torchmobile.core

private const val GOLDEN_RATIO = 0.61803398875
private const val SATURATION = 0.65
private const val VALUE = 0.95
private const val FARTHEST_HUE = 2.0 / 3.0

/**
 * The color of class [index], opaque `0xAARRGGBB`.
 *
 * Hue [index] x 0.61803398875 mod 1, saturation 0.65, value 0.95: neighbors are far apart, and a class
 * has its color whatever else is in the picture.
 */
fun classColor(index: Int): Int = hsv((index * GOLDEN_RATIO) % 1.0, SATURATION, VALUE)

/** The color at [share] (0 to 1) of a range of depths: from blue, hue 2/3, to red, hue 0. */
fun depthColor(share: Double): Int = hsv(FARTHEST_HUE * (1.0 - share), 0.8, VALUE)

/** [color] over [photo], half and half in each channel, halves up; both opaque. */
fun halfOver(
    color: Int,
    photo: Int,
): Int {
    fun mixed(shift: Int) = (((color shr shift) and 0xFF) + ((photo shr shift) and 0xFF) + 1) / 2 shl shift
    return OPAQUE_BLACK or mixed(16) or mixed(8) or mixed(0)
}

private const val OPAQUE_BLACK = 0xFF shl 24

/** Hue, saturation and value, each 0 to 1, as opaque `0xAARRGGBB`; each channel to the nearest. */
private fun hsv(
    hue: Double,
    saturation: Double,
    value: Double,
): Int {
    val sixth = (hue * 6.0).toInt()
    val part = hue * 6.0 - sixth
    val low = value * (1.0 - saturation)
    val falling = value * (1.0 - saturation * part)
    val rising = value * (1.0 - saturation * (1.0 - part))
    val (red, green, blue) =
        when (sixth % 6) {
            0 -> Triple(value, rising, low)
            1 -> Triple(falling, value, low)
            2 -> Triple(low, value, rising)
            3 -> Triple(low, falling, value)
            4 -> Triple(rising, low, value)
            else -> Triple(value, low, falling)
        }

    fun level(share: Double) = (255.0 * share + 0.5).toInt()
    return OPAQUE_BLACK or (level(red) shl 16) or (level(green) shl 8) or level(blue)
}

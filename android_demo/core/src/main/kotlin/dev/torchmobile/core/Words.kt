package dev.torchmobile.core

import java.math.BigDecimal
import java.math.MathContext
import java.math.RoundingMode

/*
 * How numbers are written: as C's printf and Python do it, halves to even. Java's own formatter rounds
 * halves up and leaves zeros at the end.
 */

private const val NO_NUMBER = "not a number"
private const val DIGITS = 4
private const val LEAST_EXPONENT = -4

/** A share of one as a percentage with one decimal. */
fun percent(share: Double): String = if (share.isFinite()) "${fixed(100 * share, 1)}%" else NO_NUMBER

/** A number with four significant digits, as C's `%.4g`. */
fun decimal(value: Double): String {
    if (!value.isFinite()) return NO_NUMBER
    if (value == 0.0) return if (1 / value < 0) "-0" else "0"
    val rounded = BigDecimal(value).round(MathContext(DIGITS, RoundingMode.HALF_EVEN))
    val exponent = rounded.precision() - rounded.scale() - 1
    return if (exponent in LEAST_EXPONENT until DIGITS) trimmed(rounded.toPlainString()) else withExponent(rounded, exponent)
}

/** A number with its unit, where there are both. */
fun withUnit(
    value: Double,
    unit: String?,
): String = if (unit == null || !value.isFinite()) decimal(value) else "${decimal(value)} $unit"

/** A small number with two digits and an exponent, as C's `%.1e`. */
fun scientific(value: Double): String {
    if (!value.isFinite()) return NO_NUMBER
    if (value == 0.0) return "0.0e+00"
    val rounded = BigDecimal(value).round(MathContext(2, RoundingMode.HALF_EVEN))
    val exponent = rounded.precision() - rounded.scale() - 1
    val digits = rounded.movePointLeft(exponent).setScale(1, RoundingMode.HALF_EVEN).toPlainString()
    return digits + suffix(exponent)
}

/** A number with so many [decimals]. */
internal fun fixed(
    value: Double,
    decimals: Int,
): String {
    val text = BigDecimal(value).setScale(decimals, RoundingMode.HALF_EVEN).toPlainString()
    val isNegative = value < 0 || 1 / value < 0
    return if (isNegative && !text.startsWith("-")) "-$text" else text
}

/** A shape in a sentence: `float32 1 x 3 x 8 x 8`. */
internal fun described(
    dtype: Dtype,
    shape: List<Long>,
): String = "${dtype.label} ${if (shape.isEmpty()) "scalar" else shape.joinToString(" x ")}"

private fun withExponent(
    rounded: BigDecimal,
    exponent: Int,
): String = trimmed(rounded.movePointLeft(exponent).toPlainString()) + suffix(exponent)

private fun suffix(exponent: Int): String {
    val digits =
        kotlin.math
            .abs(exponent)
            .toString()
            .padStart(2, '0')
    return "e${if (exponent < 0) "-" else "+"}$digits"
}

private fun trimmed(text: String): String = if ('.' in text) text.trimEnd('0').trimEnd('.') else text

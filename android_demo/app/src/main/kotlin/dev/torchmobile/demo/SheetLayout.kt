package dev.torchmobile.demo

import android.content.Context
import android.util.AttributeSet
import android.widget.FrameLayout

private const val PHOTO_SHARE = 0.52f
private const val OVERLAP_DP = 28

/** A photo on top, and a sheet that begins below it and slides over it: the first and the second child. */
class SheetLayout(
    context: Context,
    attributes: AttributeSet?,
) : FrameLayout(context, attributes) {
    override fun onMeasure(
        widthMeasureSpec: Int,
        heightMeasureSpec: Int,
    ) {
        val photo = (PHOTO_SHARE * MeasureSpec.getSize(heightMeasureSpec)).toInt()
        val overlap = (OVERLAP_DP * resources.displayMetrics.density).toInt()
        getChildAt(0).layoutParams.height = photo
        getChildAt(1).setPadding(0, (photo - overlap).coerceAtLeast(0), 0, 0)
        super.onMeasure(widthMeasureSpec, heightMeasureSpec)
    }
}

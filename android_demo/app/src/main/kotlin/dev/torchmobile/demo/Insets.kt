package dev.torchmobile.demo

import android.os.Build
import android.view.View
import android.view.Window
import android.view.WindowInsets
import android.widget.ImageButton

/**
 * Lay the [window] out behind the system's bars, and keep what is in [root] clear of them, of the
 * camera's hole and of the keyboard.
 *
 * From Android 15 on the system does the first by itself. Before 11 the bars keep a place of their own.
 */
fun edgeToEdge(
    window: Window,
    root: View,
) {
    if (Build.VERSION.SDK_INT < Build.VERSION_CODES.R) return
    window.setDecorFitsSystemWindows(false)
    root.setOnApplyWindowInsetsListener { view, insets ->
        val kinds = WindowInsets.Type.systemBars() or WindowInsets.Type.displayCutout() or WindowInsets.Type.ime()
        val taken = insets.getInsets(kinds)
        view.setPadding(taken.left, taken.top, taken.right, taken.bottom)
        WindowInsets.CONSUMED
    }
}

/** Say what a button without words does to a person who holds it, too. */
fun ImageButton.explainItself() {
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.O) tooltipText = contentDescription
}

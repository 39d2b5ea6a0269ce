// The types of androidx.test that Robolectric refers to, by Robolectric's own use of them. The real
// ones are only in Google's Maven repository; Gradle takes those, tools/ui_tests.py takes these.
package androidx.test.runner.lifecycle

import android.app.Activity
import android.app.Application

enum class Stage { PRE_ON_CREATE, CREATED, STARTED, RESUMED, PAUSED, STOPPED, RESTARTED, DESTROYED }

enum class ApplicationStage { PRE_ON_CREATE, CREATED }

fun interface ActivityLifecycleCallback {
    fun onActivityLifecycleChanged(
        activity: Activity,
        stage: Stage,
    )
}

interface ActivityLifecycleMonitor {
    fun addLifecycleCallback(callback: ActivityLifecycleCallback)

    fun removeLifecycleCallback(callback: ActivityLifecycleCallback)

    fun getLifecycleStageOf(activity: Activity): Stage

    fun getActivitiesInStage(stage: Stage): Collection<Activity>
}

interface ApplicationLifecycleMonitor {
    fun signalLifecycleChange(
        application: Application,
        stage: ApplicationStage,
    )
}

object ActivityLifecycleMonitorRegistry {
    private var instance: ActivityLifecycleMonitor? = null

    @JvmStatic
    fun getInstance(): ActivityLifecycleMonitor = checkNotNull(instance)

    @JvmStatic
    fun registerInstance(monitor: ActivityLifecycleMonitor?) {
        instance = monitor
    }
}

object ApplicationLifecycleMonitorRegistry {
    private var instance: ApplicationLifecycleMonitor? = null

    @JvmStatic
    fun getInstance(): ApplicationLifecycleMonitor = checkNotNull(instance)

    @JvmStatic
    fun registerInstance(monitor: ApplicationLifecycleMonitor?) {
        instance = monitor
    }
}

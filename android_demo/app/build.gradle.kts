import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

// What runs models: `lite` (.ptl), `executorch` (.pte) or `both`.
val runtimes = providers.gradleProperty("runtimes").getOrElse("lite")
require(runtimes in listOf("lite", "executorch", "both")) { "runtimes=$runtimes: not lite, executorch or both" }
val hasLite = runtimes != "executorch"
val hasExecutorch = runtimes != "lite"

android {
    namespace = "dev.torchmobile.demo"
    compileSdk =
        libs.versions.compileSdk
            .get()
            .toInt()

    defaultConfig {
        applicationId = "dev.torchmobile.demo"
        // `.ci/emulator.sh` runs it: the golden vectors of every model in the assets.
        testInstrumentationRunner = "dev.torchmobile.demo.GoldenInstrumentation"
        minSdk =
            libs.versions.minSdk
                .get()
                .toInt()
        targetSdk =
            libs.versions.targetSdk
                .get()
                .toInt()
        versionCode = 1
        versionName = "0.1.0"
        // What the benchmark's JSON calls the runtimes.
        resValue("string", "runtime_version", if (hasLite) libs.versions.pytorch.get() else "")
        resValue("string", "executorch_version", if (hasExecutorch) libs.versions.executorch.get() else "")
        // minisign's public key that models have to be signed with; blank demands nothing.
        resValue("string", "model_public_key", providers.gradleProperty("modelPublicKey").getOrElse(""))
        ndk {
            abiFilters += listOf("arm64-v8a", "x86_64")
        }
    }

    packaging {
        // Both runtimes bring these two, and an app can have only one of each. Which is taken is the
        // plugin's choice: `preflight.py` says whether they are aligned to 16 KB pages.
        jniLibs.pickFirsts += listOf("**/libfbjni.so", "**/libc++_shared.so")
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"), "proguard-rules.pro")
            // Replace with a key of your own before you publish.
            signingConfig = signingConfigs.getByName("debug")
        }
    }

    buildFeatures {
        resValues = true
    }

    androidResources {
        // Copied to a file at first start: compressing would only cost time.
        noCompress += listOf("ptl", "pte")
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
}

kotlin {
    compilerOptions {
        jvmTarget.set(JvmTarget.JVM_11)
    }
}

dependencies {
    implementation(project(":core"))
    implementation(project(":runtime:photos"))
    if (hasLite) {
        implementation(project(":runtime:lite")) {
            // ExecuTorch's fbjni has these classes too, in a newer version.
            if (hasExecutorch) exclude(group = "com.facebook.fbjni", module = "fbjni-java-only")
        }
    }
    if (hasExecutorch) implementation(project(":runtime:executorch"))
}

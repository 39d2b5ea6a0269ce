import java.io.File;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.gradle.api.internal.StartParameterInternal;
import org.gradle.api.logging.LogLevel;
import org.gradle.api.logging.configuration.ConsoleOutput;
import org.gradle.initialization.DefaultBuildCancellationToken;
import org.gradle.initialization.DefaultBuildRequestContext;
import org.gradle.initialization.DefaultBuildRequestMetaData;
import org.gradle.initialization.NoOpBuildEventConsumer;
import org.gradle.internal.buildoption.Option;
import org.gradle.internal.buildprocess.BuildProcessState;
import org.gradle.internal.classpath.ClassPath;
import org.gradle.internal.instrumentation.agent.AgentStatus;
import org.gradle.internal.logging.LoggingManagerInternal;
import org.gradle.internal.logging.services.LoggingServiceRegistry;
import org.gradle.internal.nativeintegration.services.NativeServices;
import org.gradle.internal.service.ServiceRegistry;
import org.gradle.internal.watch.registry.WatchMode;
import org.gradle.launcher.exec.BuildActionResult;
import org.gradle.launcher.exec.BuildExecutor;
import org.gradle.launcher.exec.DefaultBuildActionParameters;
import org.gradle.tooling.internal.provider.action.ExecuteBuildAction;

/**
 * Runs one Gradle build in this process, as Gradle's own daemon does it: the command line is the
 * one part of Gradle that `dev.gradleplugins:gradle-api` does not have.
 *
 * <p>Arguments: project folder, Gradle's home, Gradle's user home; then tasks, `-Pname=value`,
 * `--offline`, `--stacktrace`, and `--write-verification`, which notes the SHA-256 of everything
 * that the build downloads. Exit 1 when the build fails.
 */
public final class RunGradle {
    public static void main(String[] arguments) throws Exception {
        StartParameterInternal start = new StartParameterInternal();
        File project = new File(arguments[0]).getCanonicalFile();
        File user = new File(arguments[2]).getCanonicalFile();
        start.setCurrentDir(project);
        start.setGradleHomeDir(new File(arguments[1]).getCanonicalFile());
        start.setGradleUserHomeDir(user);
        start.setWatchFileSystemMode(WatchMode.DISABLED);
        // As gradle.properties asks for: the command line would read it from there.
        start.setConfigurationCache(Option.Value.value(true));
        read(Arrays.asList(arguments).subList(3, arguments.length), start);

        NativeServices.initializeOnClient(user, NativeServices.NativeServicesMode.ENABLED);
        ServiceRegistry services = LoggingServiceRegistry.newCommandLineProcessLogging();
        LoggingManagerInternal logging = loggingOf(services);
        logging.setLevelInternal(LogLevel.LIFECYCLE);
        logging.start();
        logging.attachProcessConsole(ConsoleOutput.Plain);
        boolean failed;
        try (BuildProcessState process =
                new BuildProcessState(
                        false, AgentStatus.disabled(), ClassPath.EMPTY, services, NativeServices.getInstance())) {
            failed = run(process.getServices().get(BuildExecutor.class), start).hasFailure();
        } finally {
            logging.stop();
        }
        System.exit(failed ? 1 : 0);
    }

    private static void read(List<String> arguments, StartParameterInternal start) {
        List<String> tasks = new ArrayList<>();
        Map<String, String> properties = new HashMap<>();
        for (String argument : arguments) {
            if (argument.equals("--offline")) {
                start.setOffline(true);
            } else if (argument.equals("--stacktrace")) {
                start.setShowStacktrace(org.gradle.api.logging.configuration.ShowStacktrace.ALWAYS);
            } else if (argument.equals("--write-verification")) {
                start.setWriteDependencyVerifications(Arrays.asList("sha256"));
            } else if (argument.startsWith("-P")) {
                String[] pair = argument.substring(2).split("=", 2);
                properties.put(pair[0], pair[1]);
            } else {
                tasks.add(argument);
            }
        }
        start.setTaskNames(tasks);
        start.setProjectProperties(properties);
    }

    private static LoggingManagerInternal loggingOf(ServiceRegistry services) {
        return services.getFactory(LoggingManagerInternal.class).create();
    }

    private static BuildActionResult run(BuildExecutor executor, StartParameterInternal start) {
        return executor.execute(
                new ExecuteBuildAction(start),
                new DefaultBuildActionParameters(
                        System.getProperties(),
                        System.getenv(),
                        start.getCurrentDir(),
                        LogLevel.LIFECYCLE,
                        false,
                        ClassPath.EMPTY),
                new DefaultBuildRequestContext(
                        new DefaultBuildRequestMetaData(System.currentTimeMillis(), false),
                        new DefaultBuildCancellationToken(),
                        new NoOpBuildEventConsumer()));
    }
}

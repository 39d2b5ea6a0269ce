/* What Android's C library has and glibc has not, so that the AAR's own x86_64 libraries run in a
 * desktop Java.
 *
 * Built once and linked under five names (libc.so, libm.so, libdl.so, liblog.so, libandroid.so).
 * Everything the two C libraries share, by name and by layout on x86_64, comes from glibc; below is
 * the rest. Functions that exist in both but differ are spelled with a capital first letter here:
 * `desktop_native.py` renames the libraries' references to them in place, so the length must stay.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Log: to the standard error stream. */
int __android_log_write(int priority, const char *tag, const char *text) {
  return fprintf(stderr, "[android log %d] %s: %s\n", priority, tag ? tag : "", text);
}
int __android_log_vprint(int priority, const char *tag, const char *format, va_list arguments) {
  char text[4096];
  vsnprintf(text, sizeof text, format, arguments);
  return __android_log_write(priority, tag, text);
}
int __android_log_print(int priority, const char *tag, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int written = __android_log_vprint(priority, tag, format, arguments);
  va_end(arguments);
  return written;
}
void __android_log_assert(const char *condition, const char *tag, const char *format, ...) {
  __android_log_print(7, tag, "assertion failed: %s %s", condition ? condition : "",
                      format ? format : "");
  abort();
}
void android_set_abort_message(const char *text) { __android_log_write(7, "abort", text); }

/* Assets: only LiteModuleLoader.loadModuleFromAsset uses them; the app loads from files. */
#define NO_ASSETS(name) void name(void) { __android_log_write(7, #name, "no assets here"); abort(); }
NO_ASSETS(AAssetManager_fromJava)
NO_ASSETS(AAssetManager_open)
NO_ASSETS(AAsset_close)
NO_ASSETS(AAsset_getBuffer)
NO_ASSETS(AAsset_getLength)

int *__errno(void) { return __errno_location(); }
size_t __strlen_chk(const char *text, size_t size) { (void)size; return strlen(text); }
char *__strchr_chk(const char *text, int byte, size_t size) { (void)size; return strchr(text, byte); }
char *__strrchr_chk(const char *text, int byte, size_t size) { (void)size; return strrchr(text, byte); }
ssize_t __write_chk(int file, const void *data, size_t n, size_t size) { (void)size; return write(file, data, n); }
char *__gnu_strerror_r(int error, char *text, size_t size) { return strerror_r(error, text, size); }
void __assert2(const char *file, int line, const char *function, const char *condition) {
  __android_log_print(7, "assert", "%s:%d: %s: %s", file, line, function, condition);
  abort();
}
int __system_property_get(const char *name, char *value) { /* no property is set on a desktop */
  (void)name;
  *value = 0;
  return 0;
}
int pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void)) {
  (void)before, (void)parent, (void)child; /* a desktop Java does not fork without exec */
  return 0;
}

/* stdin, stdout and stderr are addresses inside this array on Android (FILE: 152 bytes). */
char __sF[3][152];
static FILE *real(void *file) {
  return file == __sF[0] ? stdin : file == __sF[1] ? stdout : file == __sF[2] ? stderr : file;
}
int Fflush(void *f) { return fflush(f ? real(f) : NULL); }
size_t Fwrite(const void *data, size_t size, size_t n, void *f) { return fwrite(data, size, n, real(f)); }
int Fputc(int c, void *f) { return fputc(c, real(f)); }
int Getc(void *f) { return getc(real(f)); }
int Ungetc(int c, void *f) { return ungetc(c, real(f)); }
int Vfprintf(void *f, const char *format, va_list arguments) { return vfprintf(real(f), format, arguments); }
int Fprintf(void *f, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int written = vfprintf(real(f), format, arguments);
  va_end(arguments);
  return written;
}

/* Same names, other contracts. */
int __xpg_strerror_r(int error, char *text, size_t size); /* glibc's POSIX one */
int Strerror_r(int error, char *text, size_t size) { return __xpg_strerror_r(error, text, size); }
locale_t Newlocale(int mask, const char *name, locale_t base) {
  (void)mask, (void)name; /* Android's masks are other numbers, and it knows only C and UTF-8 */
  return newlocale(LC_ALL_MASK, "C", base);
}
char *Setlocale(int category, const char *name) { (void)category, (void)name; return "C"; }
long Sysconf(int name) {
  switch (name) { /* Android's numbers, from its sysconf.h */
    case 0x0008: return sysconf(_SC_OPEN_MAX);
    case 0x0027: case 0x0028: return sysconf(_SC_PAGESIZE);
    case 0x0060: return sysconf(_SC_NPROCESSORS_CONF);
    case 0x0061: return sysconf(_SC_NPROCESSORS_ONLN);
    case 0x0062: return sysconf(_SC_PHYS_PAGES);
    case 0x0063: return sysconf(_SC_AVPHYS_PAGES);
    default: errno = EINVAL; return -1;
  }
}

package steamsim

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// console is the standard output of a C program: line by line on a terminal,
// in blocks of 4 KB otherwise. What is in the buffer when the process is killed
// is lost, as it is for the real programs.
type console struct {
	mu    sync.Mutex
	w     *bufio.Writer
	lines bool // flush after every write
}

func newConsole(f *os.File) *console {
	return &console{w: bufio.NewWriterSize(f, 4096), lines: isTerminal(f)}
}

// isTerminal asks the kernel, as isatty(3) does.
func isTerminal(f *os.File) bool {
	var t syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&t)))
	return errno == 0
}

func (c *console) print(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.w.WriteString(s); err == nil && c.lines {
		_ = c.w.Flush() // when nobody reads any more the program works on, as the real ones do
	}
}

func (c *console) printf(format string, args ...any) { c.print(fmt.Sprintf(format, args...)) }

// flush is what exit(3) does.
func (c *console) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.w.Flush() // see print
}

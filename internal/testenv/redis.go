package testenv

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"left4me/internal/embedded"
)

// RedisServer is a private redis-server of one test, with an append-only file,
// so that it can be killed and started again.
type RedisServer struct {
	Client *redis.Client
	URL    string

	t      testing.TB
	socket string
	data   string
	cmd    *exec.Cmd
}

var redisCount int

// Redis starts a redis-server for this test.
func Redis(t testing.TB) *RedisServer {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		missing(t, "redis-server (Debian package redis-server)")
	}
	mu.Lock()
	base := servers(t)
	redisCount++
	r := &RedisServer{t: t, socket: filepath.Join(base, fmt.Sprintf("r%d", redisCount)), data: fmt.Sprintf("r%d.aof", redisCount)}
	mu.Unlock()
	r.URL = "unix://" + r.socket
	r.Client = redis.NewClient(&redis.Options{Network: "unix", Addr: r.socket})
	r.Start(path)
	t.Cleanup(func() {
		_ = r.Client.Close() // the server is about to be killed
		r.Kill()
	})
	return r
}

// Start starts the server, again after Kill, and waits until it answers.
func (r *RedisServer) Start(path ...string) {
	r.t.Helper()
	program := "redis-server"
	if len(path) > 0 {
		program = path[0]
	}
	cmd, err := start(program, "--port", "0", "--unixsocket", r.socket, "--save", "", "--appendonly", "yes",
		"--appendfsync", "everysec", "--appendfilename", r.data, "--appenddirname", r.data+".d", "--dir", filepath.Dir(r.socket), "--loglevel", "warning")
	if err != nil {
		r.t.Fatal(err)
	}
	r.cmd = cmd
	Eventually(r.t, 10*time.Second, "redis-server answers", func() bool {
		ctx, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		return r.Client.Ping(ctx).Err() == nil
	})
}

// Kill ends the server with SIGKILL and waits until it is gone.
func (r *RedisServer) Kill() {
	if r.cmd == nil {
		return
	}
	pid := r.cmd.Process.Pid
	_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
	Eventually(r.t, 10*time.Second, "redis-server is gone", func() bool { return syscall.Kill(pid, 0) != nil })
	r.cmd = nil
}

// EmbeddedRedis starts the in-process Redis for this test.
func EmbeddedRedis(t testing.TB) *redis.Client {
	t.Helper()
	r, err := embedded.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r.Client
}

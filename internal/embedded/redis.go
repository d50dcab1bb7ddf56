// Package embedded is the Redis of the all-in-one process: miniredis, in memory.
// It loses everything when the process ends, which costs nothing, because the
// job row is the truth and the reconciler fills the queue again. It must never
// serve a second process.
package embedded

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
)

// Redis is a running in-process Redis with a client for it.
type Redis struct {
	Client *redis.Client

	server *miniredis.Miniredis
	stop   context.CancelFunc
	ticked chan struct{}
}

// StartRedis listens on a random loopback port behind a random password: game
// servers share the loopback and must not reach the queue.
func StartRedis() (*Redis, error) {
	password := rand.Text()
	m := miniredis.NewMiniRedis()
	m.RequireAuth(password)
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start the embedded Redis: %w", err)
	}
	m.Server().SetPreHook(emptyQueue(m))
	ctx, stop := context.WithCancel(context.Background())
	r := &Redis{
		Client: redis.NewClient(&redis.Options{Addr: m.Addr(), Password: password}),
		server: m, stop: stop, ticked: make(chan struct{}),
	}
	go r.tick(ctx)
	return r, nil
}

// emptyQueue answers asynq's question for the next task of a queue that has none
// without running its script. Every script costs miniredis a millisecond, and an
// idle worker asks 50 times a second. The script's keys are pending, paused,
// active and lease of one queue, in this order; with nothing pending it changes
// nothing and returns nil, so the answer is the same.
func emptyQueue(m *miniredis.Miniredis) server.Hook {
	return func(c *server.Peer, cmd string, args ...string) bool {
		if len(args) != 8 || args[1] != "4" || !strings.EqualFold(cmd, "EVALSHA") {
			return false
		}
		if !strings.HasSuffix(args[2], ":pending") || !strings.HasSuffix(args[4], ":active") || m.Exists(args[2]) {
			return false
		}
		c.WriteNull()
		return true
	}
}

// tick lets keys expire: miniredis's clock stands still by itself.
func (r *Redis) tick(ctx context.Context) {
	defer close(r.ticked)
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			r.server.FastForward(time.Second)
		}
	}
}

// Close ends the server and its client.
func (r *Redis) Close() {
	_ = r.Client.Close() // the server goes with it
	r.stop()
	<-r.ticked
	r.server.Close()
}

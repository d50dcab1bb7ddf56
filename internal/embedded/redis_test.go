package embedded

import (
	"context"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

func start(t *testing.T) *Redis {
	t.Helper()
	r, err := StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// The shortcut for empty queues must not swallow a task.
func TestTasksAreDelivered(t *testing.T) {
	r := start(t)
	got := make(chan string, 10)
	s := asynq.NewServerFromRedisClient(r.Client, asynq.Config{
		Concurrency: 1, Queues: map[string]int{"q": 1},
		TaskCheckInterval: 10 * time.Millisecond, LogLevel: asynq.FatalLevel,
	})
	if err := s.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
		got <- task.Type()
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	c := asynq.NewClientFromRedisClient(r.Client)
	for _, kind := range []string{"a", "b", "c"} {
		if _, err := c.Enqueue(asynq.NewTask(kind, nil), asynq.Queue("q")); err != nil {
			t.Fatal(err)
		}
		select {
		case g := <-got:
			if g != kind {
				t.Errorf("got task %s, want %s", g, kind)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("task %s was not delivered", kind)
		}
	}
}

func TestKeysExpire(t *testing.T) {
	r := start(t)
	ctx := context.Background()
	if err := r.Client.Set(ctx, "k", "v", time.Second).Err(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for r.Client.Exists(ctx, "k").Val() == 1 {
		if time.Now().After(deadline) {
			t.Fatal("the key is still there")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Game servers share the loopback with it.
func TestStrangersAreRefused(t *testing.T) {
	r := start(t)
	stranger := redis.NewClient(&redis.Options{Addr: r.Client.Options().Addr})
	defer func() { _ = stranger.Close() }()
	if err := stranger.Ping(context.Background()).Err(); err == nil {
		t.Error("a client without the password was let in")
	}
}

package jobs

import (
	"fmt"

	"github.com/hibiken/asynq"
)

// Workers counts the queues that somebody serves: a worker tells Redis every few
// seconds that it does, and has two. It does not wait longer than Redis's own time
// limits.
func (c *Client) Workers() (int, error) {
	list, err := asynq.NewInspectorFromRedisClient(c.rdb).Servers()
	if err != nil {
		return 0, fmt.Errorf("look for workers: %w", err)
	}
	return len(list), nil
}

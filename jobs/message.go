package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"left4me/models"
)

// The channels. Both are plain pub/sub: what is missed is read back from rows.
const (
	eventsChannel  = "left4me:events"  // Message as JSON: worker and web → every web process
	controlChannel = "left4me:control" // Control as JSON: web → every worker
)

// maxInline is how many bytes of lines a message carries; of a larger batch it
// tells only the numbers and the reader fetches the rows.
const maxInline = 128 << 10

// Message says that something happened to the things its topics name: that they
// changed, or that lines First to Last were added.
type Message struct {
	Topics []string `json:"topics"`
	Change bool     `json:"change,omitempty"`
	Epoch  int64    `json:"epoch,omitempty"` // console lines: the numbering they belong to
	First  int64    `json:"first,omitempty"`
	Last   int64    `json:"last,omitempty"`
	Lines  []Line   `json:"lines,omitempty"`

	shared *sharedLines // set by the hub
}

// Line is one numbered line of a job's log or of a server's console.
type Line struct {
	N      int64     `json:"n"`
	At     time.Time `json:"at"`
	Stream string    `json:"s"`
	Text   string    `json:"t"`
}

// TopicJob is one job: its lines and its changes.
func TopicJob(id int64) string { return "job:" + strconv.FormatInt(id, 10) }

// TopicServer is one server's row and the jobs that hold it.
func TopicServer(id string) string { return "server:" + id }

// TopicConsole is a server's console log.
func TopicConsole(instance string) string { return "console:" + instance }

// TopicCommands is what a server's game was told, and its answers.
func TopicCommands(serverID string) string { return "commands:" + serverID }

// TopicJobs is every job that a user may see; with "" every job there is.
func TopicJobs(userID string) string { return "jobs:" + userID }

// TopicGame is the installation and the host it is on.
func TopicGame() string { return "game" }

// TopicPlayers says that Steam told something of players, on whatever server.
func TopicPlayers() string { return "players" }

// TopicOverlay is one overlay: its row, versions, items, draft and jobs.
func TopicOverlay(id int64) string { return "overlay:" + strconv.FormatInt(id, 10) }

// TopicOverlays is every overlay of a user; with "" every shared one. Who lists
// overlays listens to both.
func TopicOverlays(userID string) string { return "overlays:" + userID }

// TopicBlueprint is one blueprint: it was changed, or what it stacks got another version.
func TopicBlueprint(id string) string { return "blueprint:" + id }

// JobTopics are the topics that a change of a job concerns.
func JobTopics(j *models.Job) []string {
	topics := []string{TopicJob(j.ID), TopicJobs("")}
	if j.UserID != "" {
		topics = append(topics, TopicJobs(j.UserID))
	}
	if j.OwnerID != "" && j.OwnerID != j.UserID {
		topics = append(topics, TopicJobs(j.OwnerID))
	}
	if j.ServerID != "" {
		topics = append(topics, TopicServer(j.ServerID))
	}
	if j.OverlayID != 0 {
		topics = append(topics, TopicOverlay(j.OverlayID), TopicOverlays(j.OwnerID))
	}
	if strings.HasPrefix(j.Kind, "game.") || j.Kind == (CheckHost{}).Kind() {
		topics = append(topics, TopicGame())
	}
	return topics
}

// Publish sends m to every web process. Lines that make it too large are left
// out; their numbers stay.
func Publish(ctx context.Context, rdb *redis.Client, m Message) error {
	size := 0
	for _, l := range m.Lines {
		size += len(l.Text) + 64
	}
	if size > maxInline {
		m.Lines = nil
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	return rdb.Publish(ctx, eventsChannel, raw).Err()
}

// Control is a word to the workers that saves them a look at the database.
type Control struct {
	Cancel int64  `json:"cancel,omitempty"` // a job whose end was asked for
	Watch  string `json:"watch,omitempty"`  // an instance whose console somebody opened

	Command string `json:"command,omitempty"` // a command that waits to be sent
}

func sendControl(ctx context.Context, rdb *redis.Client, m Control) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return rdb.Publish(ctx, controlChannel, raw).Err()
}

// ListenControl calls each for every control message until ctx ends. It
// reconnects by itself; what is said meanwhile is lost, which costs a worker
// only time.
func ListenControl(ctx context.Context, rdb *redis.Client, each func(Control)) {
	sub := rdb.Subscribe(ctx, controlChannel)
	defer func() { _ = sub.Close() }() // nothing is pending on a subscription
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-sub.Channel():
			if !ok {
				return
			}
			var c Control
			if json.Unmarshal([]byte(m.Payload), &c) == nil {
				each(c)
			}
		}
	}
}

package worker

import (
	"context"
	"fmt"
	"testing"

	"github.com/hibiken/asynq"

	"left4me/internal/testenv"
	"left4me/jobs"
	"left4me/models"
)

func TestTheArchiveIsBounded(t *testing.T) {
	rdb := testenv.EmbeddedRedis(t)
	w := New(Config{Redis: rdb, Log: testenv.Log(), Host: models.LocalHost})
	queue := jobs.QueueName(models.LocalHost, models.PoolBulk)
	if err := w.trimArchive(context.Background()); err != nil {
		t.Fatalf("with no queue at all: %v", err)
	}
	for i := range archiveMax + 120 {
		id := fmt.Sprintf("%d.1", i+1)
		if _, err := w.tasks.Enqueue(asynq.NewTask("test", []byte("{}")), asynq.TaskID(id), asynq.Queue(queue)); err != nil {
			t.Fatal(err)
		}
		if err := w.in.ArchiveTask(queue, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.trimArchive(context.Background()); err != nil {
		t.Fatal(err)
	}
	info, err := w.in.GetQueueInfo(queue)
	if err != nil || info.Archived != archiveMax {
		t.Fatalf("%d tasks are kept (%v), want %d", info.Archived, err, archiveMax)
	}
	if err := w.trimArchive(context.Background()); err != nil {
		t.Fatal(err)
	}
	if info, err = w.in.GetQueueInfo(queue); err != nil || info.Archived != archiveMax {
		t.Errorf("a second time leaves %d (%v)", info.Archived, err)
	}
}

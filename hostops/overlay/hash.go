package overlay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// hasher computes sums beside the walk.
type hasher struct {
	files  chan hashing
	done   sync.WaitGroup
	cancel context.CancelCauseFunc
	bytes  atomic.Int64
	told   func(int64)
}

type hashing struct {
	f *os.File
	e *entry
}

// hashers read at the same time: enough for a disk, and a processor is left.
const hashers = 2

func newHasher(ctx context.Context, cancel context.CancelCauseFunc, told func(int64)) *hasher {
	h := &hasher{files: make(chan hashing), cancel: cancel, told: told}
	for range hashers {
		h.done.Go(func() {
			buf := make([]byte, 256<<10)
			for job := range h.files {
				if err := h.sum(ctx, job, buf); err != nil {
					h.cancel(err)
				}
			}
		})
	}
	return h
}

func (h *hasher) add(ctx context.Context, f *os.File, e *entry) error {
	select {
	case h.files <- hashing{f, e}:
		return nil
	case <-ctx.Done():
		_ = f.Close() // read only; nothing can be lost
		return context.Cause(ctx)
	}
}

func (h *hasher) wait() {
	close(h.files)
	h.done.Wait()
}

func (h *hasher) sum(ctx context.Context, job hashing, buf []byte) error {
	defer job.f.Close() // read only; nothing can be lost
	sum, size := sha256.New(), int64(0)
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := job.f.Read(buf)
		_, _ = sum.Write(buf[:n]) // never fails
		size += int64(n)
		if h.told != nil && n > 0 {
			h.told(h.bytes.Add(int64(n)))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", shown(job.e.Path), err)
		}
		if size > job.e.Size {
			break
		}
	}
	if size != job.e.Size {
		return fmt.Errorf("%s changed while it was being read", shown(job.e.Path))
	}
	job.e.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

package boltqueue

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

// schema is the version of the file's layout.
const schema = 1

// Keys of bucketMeta. What follows keyTurn is the name of a task.
var (
	keySchema = []byte("schema")
	keyPaused = []byte("paused")
	keyTurn   = []byte("turn/")
)

// lockTimeout is how long to wait for another process to let go of the file.
const lockTimeout = 2 * time.Second

// Open opens the queue in a file, which it creates if need be, and the directory as well.
// The file grows up to maxSize bytes, at least MinSize. It fails after two seconds
// if another process, or this one, has the file open.
func Open(path string, maxSize int64, logger *zap.Logger) (*Queue, error) {
	return open(path, maxSize, logger, newClock(), nil)
}

// open is Open, with another clock and perhaps something between the queue and bbolt.
func open(path string, maxSize int64, logger *zap.Logger, clock clock, wrap func(updater) updater) (*Queue, error) {
	db, err := openFile(path, maxSize)
	if err != nil {
		return nil, err
	}
	q := &Queue{
		path: path, maxSize: maxSize, db: db, logger: logger, clock: clock, update: db.Update,
		ops:     make(chan *op, maxBatch),
		nudge:   make(chan struct{}, 1),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
		index:   newIndex(),
		boot:    newBoot(),
	}
	if wrap != nil {
		q.update = wrap(q.update)
	}
	damaged, err := q.load()
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("the overflow queue's file %s cannot be read: %w", path, err)
	}
	go q.write()
	q.mend(damaged)
	return q, nil
}

// newBoot returns what begins the leases of this opening of the file.
func newBoot() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// openFile opens the file and sees to it that it outlives a loss of power, itself
// and its directory.
func openFile(path string, maxSize int64) (db *bbolt.DB, err error) {
	defer func() {
		if p := recover(); p != nil { // bbolt does that with files that are not its own
			err = fmt.Errorf("%v", p)
		}
		switch {
		case errors.Is(err, berrors.ErrTimeout):
			err = fmt.Errorf("the overflow queue's file %s is in use by another process; stop that, or give each a path of its own", path)
		case err != nil:
			err = fmt.Errorf("the overflow queue's file %s cannot be opened: %w", path, err)
		}
	}()
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	_, missing := os.Stat(path)
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: lockTimeout,
		// The list of free pages would be written with each commit, and needs pages in a row.
		// It is found again when the file is opened.
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mmapSize(maxSize),
		// Three payloads of 2 KiB fit into such a page, but one into half of it. It takes a third fewer
		// writes, which is more than the longer ones cost.
		PageSize: 8 << 10,
		MaxSize:  int(maxSize),
	})
	if err != nil {
		return nil, err
	}
	// The file grows by so much, and is full when it cannot.
	db.AllocSize = min(db.AllocSize, int(maxSize/64))
	if missing != nil {
		err = syncDirs(dir)
	}
	if err == nil {
		err = layOut(db)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// mmapSize is how much of the address space to take at once, so that the file need never be
// mapped anew, for which all who read would have to wait.
func mmapSize(maxSize int64) int {
	if runtime.GOOS == "windows" || strconv.IntSize < 64 { // there the file would be as large, or space is scarce
		return 0
	}
	return int(min(maxSize, 16<<30))
}

// syncDirs makes a new file's entry in its directory durable, and the directory's in its own.
func syncDirs(dir string) error {
	if runtime.GOOS == "windows" { // where directories cannot be synced
		return nil
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		f, err := os.Open(d)
		if errors.Is(err, os.ErrPermission) {
			continue // above what is ours
		}
		if err != nil {
			return err
		}
		err = f.Sync()
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// layOut creates what is missing in the file.
func layOut(db *bbolt.DB) error {
	return db.Update(func(tx *bbolt.Tx) error {
		known := []byte(strconv.Itoa(schema))
		if meta := tx.Bucket(bucketMeta); meta != nil {
			if found := meta.Get(keySchema); string(found) != string(known) {
				return fmt.Errorf("its layout is version %q, and this build knows version %s only", found, known)
			}
		} else if first, _ := tx.Cursor().First(); first != nil {
			return errors.New("it belongs to another program")
		}
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keySchema, known)
	})
}

// load builds the index. It returns the IDs of the records that cannot be read.
func (q *Queue) load() (damaged [][]byte, err error) {
	err = q.view(func(tx *bbolt.Tx) error {
		q.paused = tx.Bucket(bucketMeta).Get(keyPaused) != nil
		first, _ := tx.Bucket(bucketTrash).Cursor().First()
		q.trash = first != nil
		return tx.Bucket(bucketJobs).ForEach(func(id, value []byte) error {
			r, err := decode(id, value)
			if err != nil {
				damaged = append(damaged, slices.Clone(id))
				return nil
			}
			// Whoever held a lease is gone, since the file is ours alone.
			q.index.put(r, math.MinInt64)
			return nil
		})
	})
	return damaged, err
}

// mend puts in order what it can: jobs whose record is damaged, and those that were
// running when the process before this one ended. What fails is tried again by
// Maintain, or when the file is opened next.
func (q *Queue) mend(damaged [][]byte) {
	for ids := range slices.Chunk(damaged, maxStep) {
		err := q.do(context.Background(), 0, func(b *batch) error {
			for _, id := range ids {
				b.mend(id)
			}
			return nil
		})
		q.mu.Lock()
		q.repaired += len(ids)
		q.mu.Unlock()
		q.logger.Error("jobs of the overflow queue are damaged and were set aside",
			zap.String("path", q.path), zap.Int("jobs", len(ids)), zap.NamedError("storing_that", err))
	}
	var rescued []*overflow.Job
	if err := q.rescue(context.Background(), &rescued); err != nil {
		q.logger.Error("jobs that were running cannot be made available yet", zap.String("path", q.path), zap.Error(err))
	}
	q.mu.Lock()
	q.rescued = append(q.rescued, rescued...)
	q.mu.Unlock()
}

// mend sets a damaged record aside, and discards the job if there is enough left to tell what it was.
func (b *batch) mend(id []byte) {
	value := slices.Clone(b.jobs.Get(id))
	b.put(b.tx.Bucket(bucketDamaged), id, value)
	if r, ok := readable(id, value); ok {
		r.Head, r.Chunks, r.OutputSize = blob{}, 0, 0
		if r.Payload.Size < 0 || int64(r.Payload.Size) > b.q.maxSize {
			r.Payload = lost
		}
		b.bury(r)
		return
	}
	b.remove(b.jobs, id)
}

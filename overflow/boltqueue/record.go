package boltqueue

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/runestone-gateway/runestone/overflow"
)

// The file's buckets.
var (
	// bucketMeta: schema, paused, and when periodic tasks were last done.
	bucketMeta = []byte("meta")
	// bucketJobs: ID to record.
	bucketJobs = []byte("jobs")
	// bucketUnique: hash of a Unique to the ID of the job that holds it.
	bucketUnique = []byte("unique")
	// bucketPayloads and bucketResults: pieces of payloads, and of heads and outputs..
	bucketPayloads = []byte("payloads")
	bucketResults  = []byte("results")
	// bucketTrash: prefixes of pieces that nobody needs any more.
	bucketTrash = []byte("trash")
	// bucketDamaged: ID to a record that tells nothing, as it was found.
	bucketDamaged = []byte("damaged")

	buckets = [][]byte{bucketMeta, bucketJobs, bucketUnique, bucketPayloads, bucketResults, bucketTrash, bucketDamaged}
)

// recordFormat is the first byte of a record: 4 bytes of CRC-32C follow, and JSON.
const recordFormat = 1

const recordHeader = 1 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged: a record cannot be read, by this version at least.
var errDamaged = errors.New("the record is damaged, or of an unknown version")

// record is what is stored of a job in one piece.
type record struct {
	overflow.Job
	// Chunks is how many the present run, or the last, has put out.
	Chunks  int  `json:"chunks,omitempty"`
	Payload blob `json:"payload,omitzero"`
	Head    blob `json:"head,omitzero"`
}

// blob is what a record says about content that is stored beside it.
type blob struct {
	Size int    `json:"size"`
	Sum  uint32 `json:"sum"` // CRC-32C
}

func newBlob(data []byte) blob { return blob{Size: len(data), Sum: crc32.Checksum(data, castagnoli)} }

// lost is said of content that is not there any more. No content has this sum.
var lost = blob{Sum: 1}

// is reports whether data is the content.
func (b blob) is(data []byte) bool { return newBlob(data) == b }

// job returns a copy of the job, without payload and head.
func (r *record) job() *overflow.Job {
	job := r.Job
	job.Payload, job.Head = nil, nil
	return &job
}

// encode returns the record as it is stored.
func (r *record) encode() ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, recordHeader, 512))
	if err := json.NewEncoder(b).Encode(r); err != nil {
		return nil, err
	}
	value := b.Bytes()
	value[0] = recordFormat
	binary.BigEndian.PutUint32(value[1:], crc32.Checksum(value[recordHeader:], castagnoli))
	return value, nil
}

// decode reads the record that is stored for an ID. It fails with errDamaged.
func decode(id, value []byte) (*record, error) {
	if len(value) < recordHeader || value[0] != recordFormat ||
		binary.BigEndian.Uint32(value[1:]) != crc32.Checksum(value[recordHeader:], castagnoli) {
		return nil, errDamaged
	}
	r, ok := readable(id, value)
	if !ok || stateNumber(r.State) < 0 {
		return nil, errDamaged
	}
	return r, nil
}

// readable reads what a record's JSON says, whatever else is wrong with it. It
// reports whether that is enough to tell whose job it is and where it belongs.
func readable(id, value []byte) (*record, bool) {
	r := new(record)
	if len(value) < recordHeader || json.Unmarshal(value[recordHeader:], r) != nil {
		return nil, false
	}
	return r, r.ID == string(id) && kindNumber(r.Kind) >= 0 && r.Priority >= 0 && r.Priority < overflow.Priorities
}

func kindNumber(k overflow.Kind) int   { return slices.Index(overflow.Kinds[:], k) }
func stateNumber(s overflow.State) int { return slices.Index(overflow.States[:], s) }

// Contents are stored in pieces, because bbolt keeps a value in adjacent pages, of
// which a file that is nearly full may not have enough in a row. It also lets contents be
// deleted in small steps.
const pieceSize = 16 << 10

// What a piece is of.
const (
	ofPayload = 'p'
	ofHead    = 'h'
	ofOutput  = 'o'
)

// pieces returns how many a content of this size has. An empty chunk has one, so
// that there is something to count.
func pieces(size int) int { return (size + pieceSize - 1) / pieceSize }

// jobPrefix begins the keys of a job's pieces.
func jobPrefix(id string) []byte { return append([]byte(id), 0) }

// runPrefix begins the keys of what one run put out.
func runPrefix(id string, run int) []byte {
	return binary.BigEndian.AppendUint32(append(jobPrefix(id), ofOutput), uint32(run))
}

// chunkPrefix begins the keys of one chunk of it.
func chunkPrefix(id string, run, chunk int) []byte {
	return binary.BigEndian.AppendUint32(runPrefix(id, run), uint32(chunk))
}

// payloadPrefix begins the keys of a job's payload, and headPrefix of the head that a run left.
func payloadPrefix(id string) []byte { return append(jobPrefix(id), ofPayload) }

func headPrefix(id string, run int) []byte {
	return binary.BigEndian.AppendUint32(append(jobPrefix(id), ofHead), uint32(run))
}

func pieceKey(prefix []byte, piece int) []byte {
	return binary.BigEndian.AppendUint32(slices.Clip(prefix), uint32(piece))
}

// uniqueKey is what a Unique is stored by. Like JSON it takes what is not UTF-8 for U+FFFD,
// so that the key is the same when the job comes back from the file.
func uniqueKey(unique string) []byte {
	if !utf8.ValidString(unique) {
		unique = string([]rune(unique))
	}
	sum := sha256.Sum256([]byte(unique))
	return sum[:]
}

// nanos returns a time as a number to order by; 0 for no time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

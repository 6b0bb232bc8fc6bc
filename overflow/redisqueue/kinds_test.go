package redisqueue

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/zaptest"

	"github.com/runestone-gateway/runestone/internal/redisserver"
	"github.com/runestone-gateway/runestone/overflow"
)

// provisioned opens a queue as Caddy does.
func provisioned(t *testing.T, r *Redis) *queue {
	t.Helper()
	if err := r.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	q, err := r.Open(zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q.(*queue)
}

// life takes a job through a run, with somebody watching.
func life(t *testing.T, q *queue) {
	t.Helper()
	job := enqueue(t, q)
	news, stop := q.Watch(job.ID, true)
	defer stop()
	<-news
	got := claim(t, q, 1, time.Hour)[0]
	<-news
	if err := q.Append(t.Context(), ref(got), 0, []byte("chunk")); err != nil {
		t.Fatal(err)
	}
	<-news
	complete(t, q, got)
	<-news
	upkeepNow(t, q)
	if jobs, err := q.List(t.Context(), overflow.Filter{Limit: 10}); err != nil || len(jobs) != 1 {
		t.Errorf("List returned %d jobs, error %v", len(jobs), err)
	}
	if mine, err := q.Turn(t.Context(), "t", time.Hour); err != nil || !mine {
		t.Errorf("Turn returned %t, error %v", mine, err)
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t, redisserver.Set("cluster-enabled", "yes"))
	plain := openAt(t, server, "a")
	raw(t, plain, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	eventually(t, "the cluster is up", func() bool {
		return infoValue(plain.client.ClusterInfo(t.Context()).Val(), "cluster_state") == "ok"
	})
	life(t, provisioned(t, &Redis{URL: server.URL(), Cluster: true}))
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	server := redisserver.Start(t)
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("This test needs redis-server itself, which has a sentinel in it. Install redis-server.")
	}
	host, port, _ := net.SplitHostPort(server.Addr())
	address := freeAddress(t)
	_, sentinelPort, _ := net.SplitHostPort(address)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport %s\nsentinel monitor main %s %s 1\n", sentinelPort, host, port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := exec.CommandContext(t.Context(), path, file, "--sentinel")
	if err := sentinel.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sentinel.Wait() }) // which t.Context has ended
	eventually(t, "the sentinel listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	life(t, provisioned(t, &Redis{URL: "redis://" + address, MasterName: "main"}))
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	server := redisserver.Start(t,
		redisserver.Set("tls-port", port), redisserver.Set("tls-auth-clients", "no"),
		redisserver.Set("tls-cert-file", cert), redisserver.Set("tls-key-file", key), redisserver.Set("tls-ca-cert-file", cert))
	_ = server
	life(t, provisioned(t, &Redis{URL: "rediss://" + address + "?skip_verify=true"}))
	unavailable(t, provisioned(t, &Redis{URL: "rediss://" + address})) // since nobody vouches for the certificate
}

// certificate writes a certificate of 127.0.0.1 that is signed by itself, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: encoded},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

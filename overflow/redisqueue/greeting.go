package redisqueue

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/zap"

	"github.com/runestone-gateway/runestone/overflow"
)

// oldest is the oldest version of Redis that has all we need. Valkey calls itself Redis 7.2.
const oldest = 7

// greeting looks at a server when a connection is opened.
type greeting struct {
	log  *zap.Logger
	once sync.Once // what there is to tell is told once, however many connections there are
}

// onConnect refuses a server that is too old, and tells of the first one what it does not keep.
// A user that may not ask gets no answer, and goes on.
func (g *greeting) onConnect(ctx context.Context, c *redis.Conn) error {
	info, err := c.Info(ctx, "server").Result()
	if err == nil {
		version := infoValue(info, "redis_version")
		major, _, _ := strings.Cut(version, ".")
		if n, err := strconv.Atoi(major); err == nil && n < oldest {
			return fmt.Errorf("the server is Redis %s, and 7.0 or later is needed", version)
		}
		if infoValue(info, "redis_mode") == "sentinel" {
			return nil
		}
	}
	g.once.Do(func() { g.durability(ctx, c) })
	return nil
}

// durability logs one line if the server may lose what it has acknowledged, or throw
// away what it was to keep.
func (g *greeting) durability(ctx context.Context, c *redis.Conn) {
	get := func(name string) string {
		values, err := c.ConfigGet(ctx, name).Result()
		if err != nil {
			return ""
		}
		return values[name]
	}
	appendonly, fsync := get("appendonly"), get("appendfsync")
	switch {
	case appendonly == "":
		g.log.Warn("the overflow queue's user may not ask Redis how durable it is (CONFIG GET): see to it that appendonly is yes, appendfsync always and maxmemory-policy noeviction, or queued requests may be lost")
		return
	case appendonly != "yes":
		g.log.Warn("Redis keeps the overflow queue in memory only (appendonly no): queued requests are lost when it ends. Set appendonly yes and appendfsync always")
	case fsync != "always":
		g.log.Warn("Redis does not write the overflow queue to disk before it answers: if its machine dies, the last second or more of queued requests may be lost. Set appendfsync always to lose none", zap.String("appendfsync", fsync))
	}
	if policy := get("maxmemory-policy"); policy != "noeviction" && policy != "" {
		g.log.Warn("Redis may throw away parts of the overflow queue when its memory is full: set maxmemory-policy noeviction", zap.String("maxmemory-policy", policy))
	}
}

// withoutMaintenance turns off what a managed server may tell of its maintenance: it
// would be one more command with each connection, that others do not know.
func withoutMaintenance(o *redis.UniversalOptions) {
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// nodeName names this machine, as far as it has a name.
func nodeName() string {
	name, err := os.Hostname()
	if err != nil {
		name = "node"
	}
	return name + "-" + strconv.Itoa(os.Getpid())
}

func zapID(job *overflow.Job) zap.Field { return zap.String("job", job.ID) }

// quieten has go-redis tell Caddy's log what it would write to standard error, at the
// level debug: what of it matters is in the errors of our calls too.
var quieten = sync.OnceFunc(func() { redis.SetLogger(redisLog{}) })

type redisLog struct{}

// Printf implements go-redis' logger.
func (redisLog) Printf(_ context.Context, format string, v ...any) {
	caddy.Log().Named("redis").Debug(fmt.Sprintf(format, v...))
}

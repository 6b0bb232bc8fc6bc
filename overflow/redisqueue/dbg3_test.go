package redisqueue

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/runestone-gateway/runestone/internal/redisserver"
	"github.com/runestone-gateway/runestone/overflow"
)

func TestDby(t *testing.T) {
	s := redisserver.Start(t, redisserver.Set("appendonly", "no"))
	q := openAt(t, s, "bench")
	ctx := context.Background()
	q.Enqueue(ctx, request(0), 1000)
	jobs, _ := q.Claim(ctx, overflow.Order{Kind: "request", Max: 10, Lease: time.Minute})
	id := jobs[0].ID
	lib := luaFile("lib")
	N := 20000
	for name, body := range map[string]string{
		"load": "load(id)",
		"load payload": "load(id,'payload')",
		"hset payload": "redis.call('HSET','x'..i,'payload',r)",
		"rpush payload": "redis.call('RPUSH','y'..i,r)",
		"put5": "j[1]=false put(j,1,'completed') j[10]=false put(j,10,'17') j[12]=false put(j,12,'33') j[28]=false put(j,28,'ooo') j[26]=false put(j,26,44)",
		"put5+save": "j[1]=false put(j,1,'completed') j[10]=false put(j,10,'17') j[12]=false put(j,12,'33') j[28]=false put(j,28,'ooo') j[26]=false put(j,26,44) save(j)",
		"hset5": "redis.call('HSET','{bench}:j:'..id,'state','completed','ended_at','17','keep_until','33','op','ooo','output_size','44')",
		"later": "later('ZADD', index(j), i..'', 0, i..'')",
		"tell": "tell(id..i,'s')",
		"ring": "ring('request')",
		"exists": "redis.call('EXISTS','{bench}:j:'..id)",
		"us": "us(j[11])",
		"xadd": "redis.call('XADD','st','*','id',id)",
		"zadd": "redis.call('ZADD','zz',0,id..i)",
		"zadd100": "if i%100==0 then local l={} for k=1,100 do l[2*k-1]=0 l[2*k]=id..(i+k) end redis.call('ZADD','zzz',unpack(l)) end",
		"xadd+readgroup10+ack": "redis.call('XADD','st2','*','id',id) if i%10==0 then local r=redis.call('XREADGROUP','GROUP','w','me','COUNT',10,'STREAMS','st2','>') for _,e in ipairs(r[1][2]) do redis.call('XACK','st2','w',e[1]) end end",
	} {
		src := "#!lua\n" + lib + "redis.pcall('XGROUP','CREATE','st2','w','0','MKSTREAM') local id=ARGV[1] local j=load(id) local r=string.rep('x',2048) local t=redis.call('TIME') for i=1," + fmt.Sprint(N) + " do " + body + " end local u=redis.call('TIME') return (u[1]-t[1])*1000000+(u[2]-t[2])"
		v, err := q.client.Eval(ctx, src, q.keys, id).Int()
		fmt.Printf("== %-22s %.2f %v\n", name, float64(v)/float64(N), err)
	}
}

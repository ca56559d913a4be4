package simnet

import (
	"container/heap"
	"fmt"
	"time"
)

// Run plays events until done is true, or limit has passed.
func (w *World) Run(limit time.Duration, done func() bool) error {
	end := w.Now + limit
	w.coordinate()
	for !done() {
		if w.events.Len() == 0 || w.events[0].at > end {
			return fmt.Errorf("simnet: not done at %v, seed %d", w.Now, w.cfg.Seed)
		}
		e := heap.Pop(&w.events).(event)
		w.Now = e.at
		e.do()
	}
	return nil
}

type event struct {
	at       time.Duration
	sequence uint64
	do       func()
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].sequence < q[j].sequence
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func (w *World) at(t time.Duration, do func()) {
	w.sequence++
	heap.Push(&w.events, event{max(t, w.Now), w.sequence, do})
}

func (w *World) after(d time.Duration, do func()) { w.at(w.Now+d, do) }

// After plays do at a time from now: for tests that script faults.
func (w *World) After(d time.Duration, do func()) { w.after(d, do) }

func (w *World) every(d time.Duration, do func()) {
	w.after(d, func() {
		do()
		w.every(d, do)
	})
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A heart-rate belt made of somebody else's stack: bleno on an HCI user channel, so that neither the kernel's nor our own
 * code is at the other end of the link. Used by the interop tests and by the demonstration.
 *
 * The adapter must be down: the user channel wants it for itself. bleno passes the connection handle as the first argument
 * of every callback; a callback with one argument less never answers.
 *
 * Output: one event a line, a word followed by key=value (see README.md). "ready" is printed once it advertises.
 */
'use strict';

const { parseArgs } = require('node:util');

const OPTIONS = {
	device: { type: 'string', default: '1' },
	name: { type: 'string', default: 'Heart Rate' },
	'interval-ms': { type: 'string', default: '1000' },
	'battery-ms': { type: 'string', default: '10000' },
	'advertise-ms': { type: 'string', default: '1000' },
	links: { type: 'string', default: '1' },
	help: { type: 'boolean', default: false },
};

const USAGE = `usage: heart-rate.js [options]
  --device N          take hciN (default 1); it must be down
  --name NAME         name in the scan response and in 2a00 (default "Heart Rate")
  --interval-ms MS    between two measurements (default 1000)
  --battery-ms MS     between two battery levels (default 10000)
  --advertise-ms MS   switch advertising off and on this often, which makes an emulated controller repeat its report;
                      0: never (default 1000)
  --links N           stop advertising when this many centrals are connected (default 1)`;

const vendor = (number) => `a10b${number}7c1d4e2a9f365b0e8d24c1f7`;
const LONG_MAX = 512;
const APPLICATION_ERROR = 0x80;

const { values: options } = parseArgs({ options: OPTIONS });
if (options.help) {
	console.log(USAGE);
	process.exit(0);
}

process.env.HCI_CHANNEL_USER = '1';
process.env.BLENO_HCI_DEVICE_ID = options.device;
const bleno = require('@stoprocent/bleno');
const { Characteristic, Descriptor, PrimaryService } = bleno;

function log(event, fields = {}) {
	const words = Object.entries(fields).map(([key, value]) => ` ${key}=${Buffer.isBuffer(value) ? value.toString('hex') : value}`);
	console.log(event + words.join(''));
}

// A characteristic whose subscriptions and answers are logged. handlers: read(link) -> Buffer, write(data, how) -> ATT code.
function characteristic(uuid, properties, { read, write, descriptors = [] } = {}) {
	const made = new Characteristic({
		uuid,
		properties,
		descriptors,
		onReadRequest(link, offset, answer) {
			const value = read(link);
			log('read', { char: uuid, link, offset });
			if (typeof value === 'number')
				answer(value);
			else if (offset > value.length)
				answer(Characteristic.RESULT_INVALID_OFFSET);
			else
				answer(Characteristic.RESULT_SUCCESS, value.subarray(offset));
		},
		onWriteRequest(link, data, offset, withoutResponse, answer) {
			const result = write(data, { link, offset, withoutResponse });
			log('write', { char: uuid, link, kind: withoutResponse ? 'command' : 'request', offset, length: data.length,
				value: data.subarray(0, 32), result });
			answer(result);
		},
	});
	made.subscribers = new Set();
	made.on('subscribe', (link, room) => {
		made.subscribers.add(link);
		log('subscribe', { char: uuid, link, room });
	});
	made.on('unsubscribe', (link) => {
		made.subscribers.delete(link);
		log('unsubscribe', { char: uuid, link });
	});
	made.on('indicate', (link) => log('confirmed', { char: uuid, link }));
	return made;
}

const described = (text) => [new Descriptor({ uuid: '2901', value: Buffer.from(text) })];

/* --- Heart Rate, Battery --- */

// A heart that wanders between 58 and 140 and beats a little irregularly.
const heart = {
	rate: 72,
	target: 80,
	energy: 0,
	count: 0,
	step() {
		if (Math.abs(this.target - this.rate) < 1)
			this.target = 58 + Math.random() * 82;
		this.rate += Math.sign(this.target - this.rate) * (0.5 + Math.random());
		this.energy = Math.min(0xffff, this.energy + this.rate / 400);
		this.count++;
	},
	// Flags, rate, energy expended in every tenth, then one RR interval in 1/1024 s.
	measurement() {
		const withEnergy = this.count % 10 === 0;
		const rr = Math.round((60 * 1024) / this.rate + (Math.random() - 0.5) * 40);
		const bytes = [0x16 | (withEnergy ? 0x08 : 0), Math.round(this.rate)];
		if (withEnergy)
			bytes.push(Math.floor(this.energy) & 0xff, Math.floor(this.energy) >> 8);
		return Buffer.from([...bytes, rr & 0xff, rr >> 8]);
	},
};

const measurement = characteristic('2a37', ['notify']);
const controlPoint = characteristic('2a39', ['write'], {
	write(data) {
		if (data.length !== 1)
			return Characteristic.RESULT_INVALID_ATTRIBUTE_LENGTH;
		if (data[0] !== 1)
			return APPLICATION_ERROR;
		heart.energy = 0;
		return Characteristic.RESULT_SUCCESS;
	},
});
const heartRate = new PrimaryService({
	uuid: '180d',
	characteristics: [measurement, characteristic('2a38', ['read'], { read: () => Buffer.from([0x01]) }), controlPoint],
});

let battery = 97;
const batteryLevel = characteristic('2a19', ['read', 'notify'], { read: () => Buffer.from([battery]), descriptors: described('main') });
const batteryService = new PrimaryService({ uuid: '180f', characteristics: [batteryLevel] });

/* --- the vendor service: every kind of access once --- */

let longValue = Buffer.from(Array.from({ length: 300 }, (_, i) => i & 0xff));
const long = characteristic(vendor('0001'), ['read', 'write'], {
	descriptors: described('long value'),
	read: () => longValue,
	write(data, { offset }) {
		if (offset > longValue.length)
			return Characteristic.RESULT_INVALID_OFFSET;
		if (offset + data.length > LONG_MAX)
			return Characteristic.RESULT_INVALID_ATTRIBUTE_LENGTH;
		longValue = offset ? Buffer.concat([longValue.subarray(0, offset), data]) : Buffer.from(data);
		return Characteristic.RESULT_SUCCESS;
	},
});

let commands = 0;
const counter = characteristic(vendor('0002'), ['read', 'writeWithoutResponse'], {
	read() {
		const value = Buffer.alloc(4);
		value.writeUInt32LE(commands);
		return value;
	},
	write() {
		commands++;
		return Characteristic.RESULT_SUCCESS;
	},
});

const echo = characteristic(vendor('0003'), ['write', 'indicate'], {
	write(data, { link }) {
		setImmediate(() => {
			log('indicate', { char: vendor('0003'), link, value: data });
			echo.notify(data, link);
		});
		return Characteristic.RESULT_SUCCESS;
	},
});

// Written: u16 how many notifications, each a u32 number counted from 0.
const flood = characteristic(vendor('0004'), ['write', 'notify'], {
	write(data, { link }) {
		if (data.length !== 2)
			return Characteristic.RESULT_INVALID_ATTRIBUTE_LENGTH;
		setImmediate(() => {
			const value = Buffer.alloc(20);
			for (let i = 0; i < data.readUInt16LE(0); i++) {
				value.writeUInt32LE(i);
				flood.notify(value, link);
			}
			log('flooded', { char: vendor('0004'), link, count: data.readUInt16LE(0) });
		});
		return Characteristic.RESULT_SUCCESS;
	},
});

const failing = characteristic(vendor('0005'), ['read', 'write'], { read: () => APPLICATION_ERROR, write: () => APPLICATION_ERROR + 1 });

const vendorService = new PrimaryService({ uuid: vendor('0000'), characteristics: [long, counter, echo, flood, failing] });

/* --- life --- */

const links = new Set();

function advertise() {
	bleno.startAdvertising(options.name, ['180d', '180f']);
}

function update() {
	if (links.size < Number(options.links))
		advertise();
	else
		bleno.stopAdvertising();
}

function ready(error) {
	if (error) {
		log('failed', { what: 'advertising', error: error.message.replaceAll(' ', '_') });
		process.exit(1);
	}
	bleno.setServices([heartRate, batteryService, vendorService]);
	log('ready', { address: bleno.address, device: options.device });
	setInterval(everyBeat, Number(options['interval-ms']));
	setInterval(everyBattery, Number(options['battery-ms']));
	if (Number(options['advertise-ms']))
		setInterval(readvertise, Number(options['advertise-ms']));
}

function readvertise() {
	if (links.size >= Number(options.links))
		return;
	bleno.stopAdvertising();
	advertise();
}

function everyBeat() {
	heart.step();
	if (!measurement.subscribers.size)
		return;
	const value = heart.measurement();
	log('notify', { char: '2a37', rate: value[1], value });
	measurement.notify(value);
}

function everyBattery() {
	battery = battery > 20 ? battery - 1 : 97;
	batteryLevel.notify(Buffer.from([battery]));
}

bleno.once('stateChange', (state) => {
	if (state !== 'poweredOn') {
		log('failed', { what: 'adapter', state });
		process.exit(1);
	}
	advertise();
});
bleno.once('advertisingStart', ready);
bleno.on('accept', (address, link) => {
	links.add(link);
	log('connected', { address, link });
	update();
});
bleno.on('disconnect', (address, link) => {
	links.delete(link);
	log('disconnected', { address, link });
	update();
});
bleno.on('mtuChange', (mtu) => log('mtu', { mtu }));

process.on('SIGTERM', () => process.exit(0));

"""Generates and sends the partners' events from templates of the Kinesis Data Generator, without browser or Cognito."""
